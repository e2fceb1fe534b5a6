"""A camera for the demo: one photo, captured repeatedly as another picture of the same person."""

from itertools import count

from PIL import Image, ImageEnhance

from devices.hardware.camera import Camera
from models.face.picture import BadPicture

__all__ = ["VariedCamera", "varied"]

_TURN_DEGREES = 7
_CROP = 0.06
"""share of the width and height that is cut, more on one side than on the other"""
_BRIGHTNESS, _CONTRAST, _COLOUR = 0.7, 0.85, 0.8


class VariedCamera:
    """Returns the first frame of another camera as it is, and later ones varied. Frames stay in memory."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._captures = count()

    def capture(self) -> Image.Image | BadPicture:
        """Capture a frame; every later one differs from the first by light, crop and turn."""
        frame = self._camera.capture()
        number = next(self._captures)
        return frame if isinstance(frame, BadPicture) or not number else varied(frame, number)


def varied(frame: Image.Image, number: int) -> Image.Image:
    """Derive another picture of the same scene: turned, cropped off the centre, in weaker light.

    `number` changes the side of the turn and of the crop. The same arguments give the same picture.
    """
    side = 1 if number % 2 else -1
    turned = frame.rotate(side * _TURN_DEGREES, Image.Resampling.BICUBIC)
    width, height = turned.size
    left, top = round((0.5 + 0.25 * side) * _CROP * width), round(0.5 * _CROP * height)
    cropped = turned.crop((left, top, left + round((1 - _CROP) * width), top + round((1 - _CROP) * height)))
    dimmed = ImageEnhance.Brightness(cropped).enhance(_BRIGHTNESS)
    return ImageEnhance.Color(ImageEnhance.Contrast(dimmed).enhance(_CONTRAST)).enhance(_COLOUR)
