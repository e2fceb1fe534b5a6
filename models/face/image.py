"""A face in an image, and the orientation, mode and size that all vision code uses."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct
from PIL import ExifTags, Image

__all__ = ["LONGEST_SIDE", "Face", "Landmarks", "Point", "upright_rgb"]

LONGEST_SIDE: Final = 1280
"""Pixels. A face of the least width that the quality gate lets pass is then a twentieth of the picture."""
_TURNS: Final[Mapping[int, Image.Transpose]] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that makes each EXIF orientation (tag 0x0112) upright."""


class Point(NamedTuple):
    """Pixels from the left and from the top of the upright image."""

    x: float
    y: float


class Landmarks(NamedTuple):
    """MTCNN's five points; left and right are the viewer's."""

    left_eye: Point
    right_eye: Point
    nose: Point
    mouth_left: Point
    mouth_right: Point


class Face(Struct, frozen=True, kw_only=True):
    """Where a face is in an upright image, and the detector's confidence."""

    box: tuple[float, float, float, float]
    """left, top, right, bottom in pixels; may reach beyond the image"""
    probability: float
    landmarks: Landmarks

    @property
    def width(self) -> float:
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        return self.box[3] - self.box[1]


def upright_rgb(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation, convert to RGB, scale down to LONGEST_SIDE; may return the image itself."""
    turn = _TURNS.get(_orientation(image))
    if image.mode != "RGB":
        image = _eight_bits(image).convert("RGB")
    if max(image.size) > LONGEST_SIDE:
        scale = LONGEST_SIDE / max(image.size)
        size = (max(1, round(scale * image.width)), max(1, round(scale * image.height)))
        image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    if turn is not None:
        image = image.transpose(turn)
        image.info.clear()  # its EXIF would turn it again
    return image


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; 1, upright, if it cannot be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - of garbage in EXIF, Pillow raises SyntaxError and more
        return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale a picture of 16 or 32 bits to 8, its brightest pixel to 255; Pillow would clip values at 255.

    A camera's 10 or 12 bits come in 16. A picture without a pixel above 255 stays unchanged.
    """
    if not image.mode.startswith("I"):
        return image
    pixels = np.clip(np.asarray(image), 0, 65_535)
    peak = int(pixels.max(initial=255))
    levels = (np.arange(peak + 1) * 255 // peak).astype(np.uint8)
    return Image.fromarray(levels[pixels])
