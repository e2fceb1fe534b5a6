"""The camera: a port, and a simulated camera that reads image files."""

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
    """Captures frames of the visitor. A frame stays in memory and is dropped after the capture."""

    def capture(self) -> Image.Image | BadPicture:
        """Capture a frame. May block and may raise any exception: only the vision process calls it."""
        ...


class PhotoFolder:
    """A simulated camera: the image files of a folder, or one file, repeated in the order of their names."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError if there is no image file."""
        self._next: Iterator[Path] = cycle(photos(path))

    def capture(self) -> Image.Image | BadPicture:
        """Read the next image file."""
        path = next(self._next)
        picture = read_picture(path)
        return BadPicture(f"{path}: {picture.reason}") if isinstance(picture, BadPicture) else picture


def photos(path: Path) -> list[Path]:
    """List the image files of a folder, or the one file; raises ConfigError if there is none."""
    found = sorted(p for p in path.glob("*") if p.suffix.lower() in _ENDINGS) if path.is_dir() else [path]
    if not found or not found[0].exists():
        raise ConfigError(f"no photo in {path}: {', '.join(sorted(_ENDINGS))} are read")
    return found
