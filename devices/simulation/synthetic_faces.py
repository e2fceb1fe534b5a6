"""Faces of nobody: random embeddings for simulated fleets."""

import numpy as np
from numpy.typing import NDArray

from models.contract.face_models import face_model

__all__ = ["SYNTHETIC", "SyntheticFace"]

SYNTHETIC = face_model("synthetic/1")
_COSINE, _SPREAD = 0.75, 0.08
"""Cosine of two looks of one person: mean and deviation of a good embedder; strangers lie around 0."""


class SyntheticFace:
    """One simulated person: a random direction, and noisy looks of it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._self = _unit(rng.standard_normal(SYNTHETIC.dimensions))

    def capture(self) -> NDArray[np.float64]:
        """A unit vector; two looks lie at the cosine above, since each lies at its root from the person."""
        cosine = np.sqrt(np.clip(self._rng.normal(_COSINE, _SPREAD), 0.5, 0.99))
        noise = self._rng.standard_normal(SYNTHETIC.dimensions)
        aside = _unit(noise - (noise @ self._self) * self._self)
        look: NDArray[np.float64] = cosine * self._self + np.sqrt(1 - cosine**2) * aside
        return look


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / np.linalg.norm(vector)
