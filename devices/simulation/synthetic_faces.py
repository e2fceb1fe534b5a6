"""Synthetic faces: random embeddings for simulated fleets."""

import numpy as np
from numpy.typing import NDArray

from models.contract.face_models import face_model

__all__ = ["SYNTHETIC", "SyntheticFace"]

SYNTHETIC = face_model("synthetic/1")
_COSINE, _SPREAD = 0.75, 0.08
"""Cosine of two captures of one person: mean and standard deviation of a good embedder; strangers are near 0."""


class SyntheticFace:
    """One simulated person: a random direction, and noisy captures of it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._self = _unit(rng.standard_normal(SYNTHETIC.dimensions))

    def capture(self) -> NDArray[np.float64]:
        """Return a unit vector; two captures have the cosine above, since each has its square root to the person."""
        cosine = np.sqrt(np.clip(self._rng.normal(_COSINE, _SPREAD), 0.5, 0.99))
        noise = self._rng.standard_normal(SYNTHETIC.dimensions)
        orthogonal = _unit(noise - (noise @ self._self) * self._self)
        embedding: NDArray[np.float64] = cosine * self._self + np.sqrt(1 - cosine**2) * orthogonal
        return embedding


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / np.linalg.norm(vector)
