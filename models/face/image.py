"""A face in an image, and the orientation and mode that all vision code uses."""

from typing import NamedTuple

from msgspec import Struct
from PIL import ExifTags, Image, ImageOps

__all__ = ["Face", "Landmarks", "Point", "upright_rgb"]


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
    """Apply the EXIF orientation and convert to RGB. An image that needs neither is returned itself."""
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    return image if image.mode == "RGB" else image.convert("RGB")
