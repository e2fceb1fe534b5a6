"""From a network's output to the embedding of a face model: the differences between pictures, not people, are removed.

The mean of all people is subtracted, and then the **nuisance directions** of the model: those in which a camera, a
crop or poor light moves everybody, and those in which strangers of one group of people differ least from one another
and most from other groups' (docs/template-evaluation.md has what that does to errors by group).
"""

import numpy as np
from numpy.typing import NDArray

from models.contract.face_models import FaceModel
from models.face.capture_result import Embedding
from models.face.networks.embedder import unit
from models.face.protection import SCALE

__all__ = ["refine", "refine_all"]


def refine(model: FaceModel, vector: Embedding) -> Embedding:
    """Return float32 of shape (model.dimensions,), length 1, from a unit vector of the model's network."""
    row: Embedding = refine_all(model, vector[None])[0]
    return row


def refine_all(model: FaceModel, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Refine rows. In double precision: subtract the centre, then the components along the nuisance directions."""
    rest = vectors.astype(np.float64)
    if model.centre:
        rest = rest - np.array(model.centre, np.float64) / SCALE
    if model.nuisance:
        directions = np.array(model.nuisance, np.float64) / SCALE
        rest = rest - (rest @ directions.T) @ directions
    return np.stack([unit(row) for row in rest])
