"""The camera: a port, and a folder of photos in its place."""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Protocol

from PIL import Image, UnidentifiedImageError

from models.errors import ConfigError

__all__ = ["Camera", "PhotoFolder", "photos"]

_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})


class Camera(Protocol):
    """Whatever looks at the person who asked. The picture stays in memory and is gone after the answer."""

    def look(self) -> Image.Image: ...


class PhotoFolder:
    """A camera that sees the photos of a folder, or one file, again and again in the order of their names."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError where there is no photo."""
        self._next: Iterator[Path] = cycle(photos(path))

    def look(self) -> Image.Image:
        """The next photo; raises ConfigError naming a file that is none."""
        path = next(self._next)
        try:
            with Image.open(path) as image:
                image.load()
                return image.copy()
        except (OSError, UnidentifiedImageError) as error:
            raise ConfigError(f"{path} is no readable photo: {error}") from None


def photos(path: Path) -> list[Path]:
    """The photos in a folder, or the one file; raises ConfigError where there is none."""
    found = [path] if path.is_file() else sorted(p for p in path.glob("*") if p.suffix.lower() in _ENDINGS)
    if not found:
        raise ConfigError(f"no photo in {path}: {', '.join(sorted(_ENDINGS))} are read")
    return found
