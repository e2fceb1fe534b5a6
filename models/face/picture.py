"""Decodes picture files into images, with bounded memory; an invalid file is a value, not an error."""

import io
import warnings
from pathlib import Path
from typing import Final

from msgspec import Struct
from PIL import Image

from models.face.image import LONGEST_SIDE, upright_rgb

__all__ = ["BadPicture", "decode_picture", "read_picture"]

_FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP")
"""Other decoders of Pillow are not used: one of them starts Ghostscript."""
_MOST_BYTES: Final = 64_000_000
_MOST_PIXELS: Final = 50_000_000
"""Limit for a picture that must be decoded as a whole: 200 MB at four bytes a pixel."""
_MOST_SCALED_PIXELS: Final = 200_000_000
"""Limit for a JPEG, which its decoder scales while it reads."""


class BadPicture(Struct, frozen=True):
    """The bytes are no usable picture, and why."""

    reason: str


def read_picture(path: Path) -> Image.Image | BadPicture:
    """Decode a file; see `decode_picture`."""
    try:
        with path.open("rb") as file:
            return decode_picture(file.read(_MOST_BYTES + 1))
    except OSError as error:
        return BadPicture(str(error))


def decode_picture(data: bytes) -> Image.Image | BadPicture:
    """Decode the bytes of a JPEG, PNG, WebP or BMP into the form of `upright_rgb`; of an animation, its first frame.

    A JPEG is scaled while it is decoded. A picture whose header shows that it is too large is a BadPicture.
    """
    if len(data) > _MOST_BYTES:
        return BadPicture(f"more than {_MOST_BYTES:,} bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the size, whose limits here are narrower, and about odd EXIF
            return _decoded(data)
    except Exception as error:  # noqa: BLE001 - of a hostile file a decoder raises anything, MemoryError included
        return BadPicture(f"{type(error).__name__}: {error}")


def _decoded(data: bytes) -> Image.Image | BadPicture:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        scales = image.format == "JPEG" and "progressive" not in image.info
        if image.width * image.height > (_MOST_SCALED_PIXELS if scales else _MOST_PIXELS):
            return BadPicture(f"{image.width} x {image.height} pixels are too many")
        if scales:
            image.draft(None, (LONGEST_SIDE, LONGEST_SIDE))
        image.load()
        return upright_rgb(image)
