"""The quality gate: whether a face is good enough for a template. A refusal is a value, never an error."""

from math import atan2, degrees, hypot
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from PIL import Image

from models.face.capture_result import Poor
from models.face.image import Face, Landmarks, upright_rgb

__all__ = ["QualityGate", "roll", "sharpness", "turn"]

_SIDE: Final = 64
"""Sharpness is measured on a crop of 64 x 64 pixels, which every face of the least width fills."""


class QualityGate(Struct, frozen=True, kw_only=True):
    """The thresholds of the quality gate.

    Each default was measured on 29 press photos of six people with dlib's embedder. Score is the mean of equal bits
    with other photos of the same person: 417 of 512 at a width of 160 pixels.
    """

    width_px: float = 60
    """Scaled down to this width: score 415; to 50: 411; to 42: 406."""
    probability: float = 0.97
    """Good faces .988 to 1.0 at any such size; darkened to a tenth (score 393) .963; a camera before a face .969."""
    sharpness: float = 0.06
    """Good faces .26 and more. Gaussian blur of 2 in 160 pixels: .05 to .26, score 404; of 3: .02 to .12, score 390."""
    turn: float = 0.25
    """At most .11 on all photos, the furthest turned by about 15 degrees, so .25 is some 35 degrees."""
    roll: float = 40
    """Degrees. Rotated by 35: score 416; by 45 the worst photo lost 80 bits against itself."""

    def judge(self, image: Image.Image, face: Face) -> Poor | None:
        """Return why the face is unfit for a template, cheapest test first; None if it is fit."""
        if min(face.width, face.height) < self.width_px:
            return "too_small"
        if face.probability < self.probability:
            return "unsure"
        if abs(turn(face.landmarks)) > self.turn or abs(roll(face.landmarks)) > self.roll:
            return "turned_away"
        if sharpness(_grey_crop(image, face)) < self.sharpness:
            return "blurred"
        return None


def sharpness(grey: NDArray[np.float64]) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al., 2000) over the variance of the picture itself.

    The quotient does not change with light or contrast: a dark picture is not a blurred one. A flat picture has 0.
    """
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    laplacian = around - 4 * grey[1:-1, 1:-1]
    return float(laplacian.var() / max(grey.var(), 1.0))


def turn(landmarks: Landmarks) -> float:
    """Distance of the nose from the line from the eyes' middle to the mouth's, in lengths of that line.

    About .42 times the sine of the yaw; positive where the nose points to the image's right. The line keeps
    its length when the head is turned, as the distance of the eyes does not.
    """
    eyes = _middle(landmarks.left_eye, landmarks.right_eye)
    mouth = _middle(landmarks.mouth_left, landmarks.mouth_right)
    along = (mouth[0] - eyes[0], mouth[1] - eyes[1])
    nose = (landmarks.nose.x - eyes[0], landmarks.nose.y - eyes[1])
    return (nose[0] * along[1] - nose[1] * along[0]) / max(along[0] ** 2 + along[1] ** 2, 1.0)


def roll(landmarks: Landmarks) -> float:
    """Degrees by which the line of the eyes leans, clockwise positive."""
    left, right = landmarks.left_eye, landmarks.right_eye
    return degrees(atan2(right.y - left.y, right.x - left.x)) if hypot(right.x - left.x, right.y - left.y) else 0.0


def _middle(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2


def _grey_crop(image: Image.Image, face: Face) -> NDArray[np.float64]:
    """Crop the box to 64 x 64; a box beyond the image is cut at the edge, so that no pixels are padded."""
    left, top, right, bottom = (round(side) for side in face.box)
    width, height = image.size
    box = (max(left, 0), max(top, 0), min(right, width), min(bottom, height))
    crop = upright_rgb(image).crop(box).convert("L")
    return np.asarray(crop.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), dtype=np.float64)
