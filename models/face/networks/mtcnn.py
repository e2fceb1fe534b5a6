"""Detects faces with MTCNN, whose weights come with facenet-pytorch."""

from typing import Any, Final

import numpy as np
import torch
from facenet_pytorch import MTCNN
from PIL import Image

from models.face.image import Face, Landmarks, Point, upright_rgb

__all__ = ["MIN_FACE_PX", "MIN_PROBABILITY", "FaceDetector"]

MIN_FACE_PX: Final = 40
"""Least face width in pixels. Measured: half the time of the default, 20."""
THRESHOLDS: Final = (0.6, 0.7, 0.9)
"""Of the three stages of MTCNN. On a group photo of six people, the default 0.7 of the last found two false faces."""
MIN_PROBABILITY: Final = 0.95
"""With THRESHOLDS it found exactly the six people of the same photo."""


class FaceDetector:
    """Finds faces on one torch thread: next to a busy process two threads were 2 to 10 times slower."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self._mtcnn = MTCNN(keep_all=True, min_face_size=MIN_FACE_PX, thresholds=THRESHOLDS, device="cpu")

    def detect(self, image: Image.Image) -> list[Face]:
        """Find the faces, largest first, in pixels of `upright_rgb(image)`. No face is an empty list."""
        if min(image.size) < MIN_FACE_PX:  # MTCNN raises on an image that its pyramid cannot hold
            return []
        boxes, probabilities, landmarks = self._mtcnn.detect(upright_rgb(image), landmarks=True)
        if boxes is None:
            return []
        found = [_face(*each) for each in zip(boxes, probabilities, landmarks, strict=True)]
        return sorted((face for face in found if face.probability >= MIN_PROBABILITY), key=_size, reverse=True)


def _face(box: Any, probability: Any, landmarks: Any) -> Face:
    """Convert MTCNN's arrays of dtype object."""
    left, top, right, bottom = np.asarray(box, dtype=float).tolist()
    points = (Point(*point) for point in np.asarray(landmarks, dtype=float).tolist())
    return Face(box=(left, top, right, bottom), probability=float(probability), landmarks=Landmarks(*points))


def _size(face: Face) -> float:
    return face.width * face.height
