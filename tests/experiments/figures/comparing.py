"""The same people compared in every way that matters: plain, under one key, under the keys of two sites or epochs."""

from collections.abc import Iterator
from functools import reduce
from itertools import combinations_with_replacement
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from devices.simulation.synthetic_faces import SyntheticFace
from models.contract.face_models import FaceModel
from models.face.calibration.people import People
from models.face.measures import Counts, count
from models.face.protection import KEY_BYTES, Protector, next_key

__all__ = [
    "WAYS",
    "Compared",
    "Keys",
    "compare",
    "compare_photos",
    "compare_synthetic",
    "draw_keys",
    "signs_of",
    "synthetic_people",
]

WAYS: Final = ("plain cosine", "refined cosine", "one key", "two sites", "two epochs")

Compared = dict[str, Counts]
"""What each way found; a cosine of -1 to 1 is counted as a score of 0 to `bits`."""
Vectors = NDArray[np.float32]


class Keys(Struct, frozen=True):
    """Of a site, and of another that has nothing to do with it."""

    site: bytes
    other_site: bytes


def draw_keys(rng: np.random.Generator) -> Keys:
    return Keys(rng.bytes(KEY_BYTES), rng.bytes(KEY_BYTES))


def compare(model: FaceModel, people: People, keys: Keys) -> Compared:
    """Compare every two looks in every way.

    Under two keys a look also meets itself, as mated: nothing is more alike, so nothing is easier to link.
    """
    plain, refined = people.embeddings, people.refined(model)
    here, elsewhere, later = (
        signs_of(Protector(key, model), refined) for key in (keys.site, keys.other_site, next_key(keys.site))
    )
    sides = ((plain, plain), (refined.embeddings, refined.embeddings), (here, here), (here, elsewhere), (here, later))
    return {
        way: _count_pairs(one, other, people.who, model.bits, with_itself=one is not other)
        for way, (one, other) in zip(WAYS, sides, strict=True)
    }


def compare_photos(model: FaceModel, people: People, rounds: list[Keys]) -> Compared:
    """Compare a few people under many keys, each two of them by themselves."""
    return reduce(_add, (each for keys in rounds for each in _two_by_two(model, people, keys)))


def compare_synthetic(model: FaceModel, size: int, rng: np.random.Generator, rounds: list[Keys]) -> Compared:
    """Compare other people under each key, two looks of each, so that no two rounds know of each other."""
    return reduce(_add, (compare(model, synthetic_people(size, rng), keys) for keys in rounds))


def synthetic_people(size: int, rng: np.random.Generator) -> People:
    """Two looks of each of so many people."""
    faces = [SyntheticFace(rng) for _ in range(size)]
    looks = np.array([face.capture() for face in faces for _ in range(2)], dtype=np.float32)
    return People(looks, np.repeat(np.arange(size), 2))


def signs_of(protector: Protector, people: People) -> Vectors:
    """Return the templates' bits as +1 and -1, shape (n, bits)."""
    templates = b"".join(protector.protect(row) for row in people.embeddings)
    bits = np.unpackbits(np.frombuffer(templates, np.uint8)).reshape(len(people.who), -1)
    return np.where(bits == 1, np.float32(1), np.float32(-1))


def _two_by_two(model: FaceModel, people: People, keys: Keys) -> Iterator[Compared]:
    for one, other in combinations_with_replacement(people.names, 2):
        both = compare(model, people.only({one, other}), keys)
        yield both if one == other else {way: _only_strangers(counts) for way, counts in both.items()}


def _only_strangers(counts: Counts) -> Counts:
    return Counts(np.zeros_like(counts.mated), counts.non_mated)


def _count_pairs(one: Vectors, other: Vectors, who: NDArray[np.int64], bits: int, *, with_itself: bool) -> Counts:
    pairs = np.triu_indices(len(who), 0 if with_itself else 1)
    cosines = (_unit(one) @ _unit(other).T)[pairs]
    return count((1 + cosines) * (bits / 2), who[pairs[0]] == who[pairs[1]], bits)


def _unit(vectors: Vectors) -> Vectors:
    units: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units


def _add(one: Compared, other: Compared) -> Compared:
    return {way: one[way] + other[way] for way in WAYS}
