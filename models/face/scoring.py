"""The centre and the thresholds of a face model, from embeddings of people, and their error rates. Pure functions.

Scores are those of protected templates under several keys, since a template's bits depend on its key.
Thresholds come from people that the centre was not computed from, as visitors are: each pair is scored with a centre
without its person or its two persons.

The rule. `doubt` is the score that one in a hundred pairs of strangers reaches; `same` is the middle between that
and the score that all but one in twenty pairs of one person reach. The errors have different weights: a false match
refuses a visitor, a false non-match costs a portion of paper, so one end is the 99th percentile
and the other only the 5th.
"""

import secrets
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.contract.face_models import FaceModel
from models.errors import ConfigError
from models.face.centres import to_scale
from models.face.protection import KEY_BYTES, Protector

__all__ = [
    "KEYS",
    "Errors",
    "People",
    "Scores",
    "Thresholds",
    "centre_of",
    "judge",
    "left_out_scores",
    "random_keys",
    "scores",
    "thresholds",
]

KEYS: Final = 32
"""Thresholds from 32 keys were the same to a bit as from 64; from 8 keys they strayed by up to 7."""
_STRANGERS_HIGH: Final = 99
_SAME_LOW: Final = 5
"""Percentiles; explained in the module's docstring."""
_LEAST_PEOPLE: Final = 3
"""Two strangers, and one more to make a centre without them."""

Scores = NDArray[np.int64]


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

    def without(self, *names: int) -> "People":
        return self.only(set(self.names) - set(names))


class Thresholds(Struct, frozen=True):
    """The thresholds of a FaceModel, in equal bits."""

    same: int
    doubt: int


class Errors(Struct, frozen=True, kw_only=True):
    """How many comparisons went wrong, over all keys."""

    false_matches: int
    strangers: int
    """comparisons of two people"""
    false_non_matches: int
    same: int
    """comparisons of two photos of one person"""

    @property
    def false_match_rate(self) -> float:
        return self.false_matches / max(self.strangers, 1)

    @property
    def false_non_match_rate(self) -> float:
        return self.false_non_matches / max(self.same, 1)


def random_keys(count: int = KEYS) -> list[bytes]:
    """Keys as unguessable as a site's own."""
    return [secrets.token_bytes(KEY_BYTES) for _ in range(count)]


def centre_of(people: People) -> NDArray[np.int64]:
    """Return the mean of the people's means, so that each person counts once; integers at SCALE."""
    means = [people.embeddings[people.who == name].mean(axis=0, dtype=np.float64) for name in people.names]
    return to_scale(np.mean(means, axis=0)).astype(np.int64)


def scores(model: FaceModel, people: People, centre: NDArray[np.int64], keys: Sequence[bytes]) -> Scores:
    """Return equal bits of every two photos under every key, shape (keys, n, n)."""
    protectors = [Protector(key, model, centre=centre) for key in keys]
    templates = [[protector.protect(row) for row in people.embeddings] for protector in protectors]
    bits = np.unpackbits(np.array([list(map(bytearray, row)) for row in templates], dtype=np.uint8), axis=-1)
    signs = bits.astype(np.int64) * 2 - 1
    length: int = signs.shape[-1]
    return (length + signs @ signs.transpose(0, 2, 1)) // 2


def left_out_scores(model: FaceModel, people: People, keys: Sequence[bytes]) -> tuple[Scores, Scores]:
    """Return the scores of same-person pairs and of strangers, each judged by a centre of all others."""
    if len(people.names) < _LEAST_PEOPLE:
        raise ConfigError(f"calibration needs photos of {_LEAST_PEOPLE} people or more, not {len(people.names)}")
    same = [_among(model, people, keys, one, one) for one in people.names]
    strangers = [_among(model, people, keys, one, other) for one, other in combinations(people.names, 2)]
    return np.concatenate(same), np.concatenate(strangers)


def thresholds(same: Scores, strangers: Scores) -> Thresholds:
    """Apply the module's rule to scores of same-person pairs and of strangers."""
    high = float(np.percentile(strangers, _STRANGERS_HIGH))
    low = float(np.percentile(same, _SAME_LOW))
    doubt = round(high)
    return Thresholds(same=max(round((high + low) / 2), doubt + 1), doubt=doubt)


def judge(model: FaceModel, people: People, centre: NDArray[np.int64], same: int, keys: Sequence[bytes]) -> Errors:
    """Count the errors of the threshold `same` over all pairs of photos."""
    matched = scores(model, people, centre, keys) >= same
    first, second = np.triu_indices(len(people.who), 1)
    alike = people.who[first] == people.who[second]
    pairs = matched[:, first, second]
    return Errors(
        false_matches=int(pairs[:, ~alike].sum()),
        strangers=len(keys) * int((~alike).sum()),
        false_non_matches=int((~pairs[:, alike]).sum()),
        same=len(keys) * int(alike.sum()),
    )


def _among(model: FaceModel, people: People, keys: Sequence[bytes], one: int, other: int) -> Scores:
    """Return the scores between photos of `one` and `other`, centred without either; each pair of photos once."""
    pair = people.only({one, other})
    table = scores(model, pair, centre_of(people.without(one, other)), keys)
    first, second = np.triu_indices(len(pair.who), 1)
    wanted = (pair.who[first] == pair.who[second]) == (one == other)
    return table[:, first[wanted], second[wanted]].ravel()
