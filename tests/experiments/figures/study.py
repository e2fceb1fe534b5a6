"""The study of one face model: its people, every kind of comparison, and what an attacker rebuilds."""

import math
from typing import Final

import numpy as np
from msgspec import Struct

from models.contract.face_models import FaceModel
from models.face.calibration.people import People
from models.face.measures import (
    by_chance,
    decidability,
    equal_error_rate,
    linkability,
    normal_false_match_rate,
    rates,
    upper_bound,
)
from tests.experiments.figures.comparing import (
    WAYS,
    Compared,
    compare_photos,
    compare_synthetic,
    draw_keys,
    synthetic_people,
)
from tests.experiments.figures.rebuilding import rebuilt

__all__ = ["FalseMatches", "Study", "Way", "study_photos", "study_synthetic"]

_STOLEN: Final = 20
"""Synthetic templates that a thief works on."""


class Way(Struct, frozen=True, kw_only=True):
    """One way of comparing. d' has no unit; the error rate and both linkabilities are shares of 1."""

    name: str
    mated: int
    non_mated: int
    decidability: float
    equal_error_rate: float
    linkability: float
    linkability_by_chance: float
    """what the same measure finds when the same scores are dealt out at random"""


class FalseMatches(Struct, frozen=True, kw_only=True):
    """At the model's lowest threshold, under one key."""

    threshold: int
    seen: int
    comparisons: int
    pairs_of_people: int
    """independent trials: how alike two people score is theirs, more photos and keys hardly tell more of it"""
    rate: float
    upper_bound: float
    """95 %, one-sided"""
    normal: float
    """extrapolated from mean and deviation: an assumption, no bound"""
    false_non_match_rate: float


class Study(Struct, frozen=True, kw_only=True):
    """All results of one model."""

    model: str
    source: str
    ways: tuple[Way, ...]
    false_matches: FalseMatches
    rebuilt_with_key: float
    """mean cosine"""
    rebuilt_without: float


def study_photos(model: FaceModel, people: People, rounds: int, rng: np.random.Generator) -> tuple[Study, Compared]:
    """Study embeddings of real photos under so many keys."""
    compared = compare_photos(model, people, [draw_keys(rng) for _ in range(rounds)])
    source = f"{len(people.who)} photos of {len(people.names)} people, {rounds} keys"
    return _study(model, people, source, math.comb(len(people.names), 2), compared, rng), compared


def study_synthetic(model: FaceModel, size: int, rounds: int, rng: np.random.Generator) -> tuple[Study, Compared]:
    """Study so many synthetic people under each of so many keys, others under each."""
    compared = compare_synthetic(model, size, rng, [draw_keys(rng) for _ in range(rounds)])
    source = f"two looks of {size} people under each of {rounds} keys, {size * rounds} people"
    stolen = synthetic_people(_STOLEN, rng)
    return _study(model, stolen, source, rounds * math.comb(size, 2), compared, rng), compared


def _study(
    model: FaceModel, stolen: People, source: str, pairs: int, compared: Compared, rng: np.random.Generator
) -> Study:
    known, guessed = rebuilt(model, stolen, draw_keys(rng))
    return Study(
        model=model.id,
        source=source,
        ways=tuple(_way(name, compared, rng) for name in WAYS),
        false_matches=_false_matches(model, pairs, compared),
        rebuilt_with_key=known,
        rebuilt_without=guessed,
    )


def _way(name: str, compared: Compared, rng: np.random.Generator) -> Way:
    counts = compared[name]
    return Way(
        name=name,
        mated=int(counts.mated.sum()),
        non_mated=int(counts.non_mated.sum()),
        decidability=decidability(counts),
        equal_error_rate=equal_error_rate(counts),
        linkability=linkability(counts),
        linkability_by_chance=linkability(by_chance(counts, rng)),
    )


def _false_matches(model: FaceModel, pairs: int, compared: Compared) -> FalseMatches:
    counts, both = compared["one key"], rates(compared["one key"])
    rate = float(both.false_match[model.least_threshold])
    return FalseMatches(
        threshold=model.least_threshold,
        seen=int(counts.non_mated[model.least_threshold :].sum()),
        comparisons=int(counts.non_mated.sum()),
        pairs_of_people=pairs,
        rate=rate,
        upper_bound=upper_bound(math.ceil(rate * pairs), pairs),
        normal=normal_false_match_rate(counts, model.least_threshold),
        false_non_match_rate=float(both.false_non_match[model.least_threshold]),
    )
