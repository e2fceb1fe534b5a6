"""People's embeddings, and their scores through protected templates. Pure functions.

Everything is judged through templates under several keys, since a template's bits depend on its key.
"""

import secrets
from collections.abc import Iterable
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.contract.face_models import FaceModel
from models.face.protection import KEY_BYTES, Protector
from models.face.refinement import refine_all

__all__ = ["KEYS", "People", "Scores", "random_keys", "scores"]

KEYS: Final = 4
"""Enough for thousands of people: they differ more than keys do."""

Scores = NDArray[np.int32]


class People(Struct, frozen=True, eq=False):
    """Embeddings, float32 of shape (n, dimensions), and whose each is, shape (n,)."""

    embeddings: NDArray[np.float32]
    who: NDArray[np.int64]

    @property
    def names(self) -> list[int]:
        return sorted(set(self.who.tolist()))

    def only(self, names: Iterable[int]) -> "People":
        chosen = np.isin(self.who, list(names))
        return People(self.embeddings[chosen], self.who[chosen])

    def refined(self, model: FaceModel) -> "People":
        """Return the same people's embeddings as the model has them."""
        return People(refine_all(model, self.embeddings), self.who)

    def one_photo_each(self) -> "People":
        """Keep the first photo of each person."""
        _, first = np.unique(self.who, return_index=True)
        return People(self.embeddings[first], self.who[first])


def random_keys(count: int = KEYS) -> list[bytes]:
    """Keys as unguessable as a site's own."""
    return [secrets.token_bytes(KEY_BYTES) for _ in range(count)]


def scores(model: FaceModel, embeddings: NDArray[np.float32], key: bytes) -> Scores:
    """Return equal bits of every two refined embeddings under a key, shape (n, n)."""
    protector = Protector(key, model)
    templates = b"".join(protector.protect(row) for row in embeddings)
    bits = np.unpackbits(np.frombuffer(templates, np.uint8)).reshape(len(embeddings), model.bits)
    signs = bits.astype(np.float32) * 2 - 1
    return ((model.bits + signs @ signs.T) / 2).astype(np.int32)
