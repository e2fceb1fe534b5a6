"""The camera: a port, and a folder of photos in its place."""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Protocol

from PIL import Image

from models.errors import ConfigError
from models.face.picture import BadPicture, read_picture

__all__ = ["Camera", "PhotoFolder", "photos"]

_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})


class Camera(Protocol):
    """Whatever looks at the person who asked. The picture stays in memory and is gone after the answer."""

    def capture(self) -> Image.Image | BadPicture:
        """Take a picture. May block and may raise anything: it is called in the vision process alone."""
        ...


class PhotoFolder:
    """A camera that sees the photos of a folder, or one file, again and again in the order of their names."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError where there is no photo."""
        self._next: Iterator[Path] = cycle(photos(path))

    def capture(self) -> Image.Image | BadPicture:
        """The next photo."""
        path = next(self._next)
        picture = read_picture(path)
        return BadPicture(f"{path}: {picture.reason}") if isinstance(picture, BadPicture) else picture


def photos(path: Path) -> list[Path]:
    """The photos in a folder, or the one file; raises ConfigError where there is none."""
    found = sorted(p for p in path.glob("*") if p.suffix.lower() in _ENDINGS) if path.is_dir() else [path]
    if not found or not found[0].exists():
        raise ConfigError(f"no photo in {path}: {', '.join(sorted(_ENDINGS))} are read")
    return found
