"""The centre and the nuisance directions of a face model, learned from people. Pure functions.

The first direction leads from the mean of the people to the mean of the groups: two sets of pictures differ in camera,
crop and light, so it separates pictures. The others are the directions in which the groups' people vary most around
their own mean: what many strangers share in such pictures is what makes them look alike to the network.
"""

from typing import Final

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from models.contract.face_models import FaceModel
from models.face.calibration.people import People
from models.face.protection import SCALE

__all__ = ["DIRECTIONS", "learn_space"]

DIRECTIONS: Final = 8
"""Measured on UTKFace with groups left out (docs/template-evaluation.md): 12 and 16 cost more missed returns, 4 and 0
left more false matches."""
_LEAST_PHOTOS_A_DIRECTION: Final = 20
"""With fewer photos a direction is one of these people's own."""


def learn_space(model: FaceModel, people: People, groups: NDArray[np.float32]) -> FaceModel:
    """Return the model with the centre of people and the nuisance directions of groups' photos, one photo a row."""
    means = [people.embeddings[people.who == name].mean(axis=0, dtype=np.float64) for name in people.names]
    centre = np.mean(means, axis=0)
    found = _directions(groups.astype(np.float64), centre)
    whole = tuple(tuple(map(int, np.rint(row * SCALE))) for row in found)
    return structs.replace(model, centre=tuple(map(int, np.rint(centre * SCALE))), nuisance=whole)


def _directions(groups: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
    wanted = min(DIRECTIONS, len(groups) // _LEAST_PHOTOS_A_DIRECTION)
    if not wanted:
        return np.zeros((0, len(centre)))
    shift = groups.mean(axis=0) - centre
    shift /= np.linalg.norm(shift)
    around = groups - groups.mean(axis=0)
    around -= np.outer(around @ shift, shift)
    _, _, axes = np.linalg.svd(around, full_matrices=False)
    return np.vstack([shift, axes[:wanted]])
