"""What turns a face into an embedding. Imports no network."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.contract.face_models import FaceModel
from models.face.capture_result import Embedding
from models.face.image import Face

__all__ = ["Embedder", "unit"]


class Embedder(Protocol):
    """What turns a face into a vector."""

    @property
    def model(self) -> FaceModel: ...

    def embed(self, image: Image.Image, face: Face) -> Embedding | None:
        """Return the network's output: float32 of shape (model.dimensions,), length 1, the same for the same face.

        None: the network's output shows that the picture is too poor to tell people apart.
        """
        ...


def unit(vector: NDArray[np.floating]) -> Embedding:
    """Divide by the Euclidean length in double precision, round to single."""
    wide = np.asarray(vector, dtype=np.float64)
    return (wide / np.linalg.norm(wide)).astype(np.float32)
