"""How much of an embedding a thief rebuilds from its template, with the key and without.

The thief fits a vector to the signs: logistic regression on the key's rows with a normal prior, the strongest of what
was tried (projecting back, the pseudo-inverse, the best linear estimate). Who also knows how faces are distributed may
do better.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.contract.face_models import FaceModel
from models.face import protection
from models.face.calibration.people import People
from models.face.protection import Protector
from tests.experiments.figures.comparing import Keys, signs_of

__all__ = ["rebuilt"]

_STEEPNESS: Final = 10.0
"""Of the logistic curve; from 3 to 30 the cosine changed by .01 with 512 dimensions, and fell below 10 with 128."""
_STEPS: Final = 100


def rebuilt(model: FaceModel, people: People, keys: Keys) -> tuple[float, float]:
    """Return the mean cosine of refined embeddings with what is rebuilt: with the key, with another key."""
    refined = people.refined(model)
    signs, truth = signs_of(Protector(keys.site, model), refined), refined.embeddings.astype(np.float64)
    known, guessed = (_cosine(_fit(signs, _rows(key, model)), truth) for key in (keys.site, keys.other_site))
    return known, guessed


def _rows(key: bytes, model: FaceModel) -> NDArray[np.float64]:
    """Return the key's rows at unit length, shape (bits, dimensions)."""
    signs = protection._signs(key, model)  # noqa: SLF001 - a thief makes them too
    return signs / float(np.sqrt(model.dimensions))


def _fit(signs: NDArray[np.float32], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return vectors of shape (n, dimensions) whose signs on the rows are the given ones, as far as may be."""
    vectors = np.zeros((len(signs), rows.shape[1]))
    widest = 1 + np.sqrt(len(rows) / rows.shape[1])  # singular value of random rows at unit length, Bai and Yin 1993
    curvature = 1 + _STEEPNESS**2 / 4 * widest**2
    for _ in range(_STEPS):
        doubt = 1 / (1 + np.exp(np.minimum(_STEEPNESS * signs * (vectors @ rows.T), 500)))
        vectors -= (vectors - (_STEEPNESS * signs * doubt) @ rows) / curvature
    return vectors


def _cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / lengths).mean())
