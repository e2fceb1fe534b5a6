"""Alignment of a face on its five landmarks: one way for every network that expects 112 x 112 pixels."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from models.face.image import Landmarks

__all__ = ["POINTS", "SIDE", "align", "similarity"]

SIDE: Final = 112
POINTS: Final = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
"""Where ArcFace and its descendants expect eyes, nose and corners of the mouth."""
Similarity = tuple[float, float, float, float, float, float]


def similarity(source: ArrayLike, target: ArrayLike) -> Similarity:
    """Return the least-squares similarity (turn, scale, shift) from points to points, as Pillow's six coefficients.

    With centred points as complex numbers it is one quotient (Umeyama, 1991, in the plane, without mirroring).
    Points that all coincide give a constant transform.
    """
    one, other = _complex(source), _complex(target)
    middle, other_middle = one.mean(), other.mean()
    spread = float(np.sum(np.abs(one - middle) ** 2))
    factor = complex(np.sum((other - other_middle) * np.conj(one - middle))) / max(spread, 1e-12)
    shift = complex(other_middle - factor * middle)
    return (factor.real, -factor.imag, shift.real, factor.imag, factor.real, shift.imag)


def align(image: Image.Image, landmarks: Landmarks) -> Image.Image:
    """Return the face, 112 x 112, with its landmarks at POINTS; bilinear, black beyond the image.

    Pillow asks where each pixel comes from, and takes the middle of a pixel for half: hence from POINTS to landmarks.
    """
    coefficients = similarity(POINTS, landmarks)
    return image.transform((SIDE, SIDE), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)


def _complex(points: ArrayLike) -> NDArray[np.complex128]:
    array = np.asarray(points, dtype=np.float64)
    return array[:, 0] + 1j * array[:, 1]
