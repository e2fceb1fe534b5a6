"""A calibration from embeddings: what is learned, on which people it is tested, and the result. Pure.

People are split: most teach the centre, the others are judged. A group is judged by a model that was learned without
it; the model that is written learns from all groups.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from models.contract.face_models import TRILLION, CurvePoint, FaceModel
from models.errors import ConfigError
from models.face.calibration.curve import GroupScores, make_curve
from models.face.calibration.people import People, scores
from models.face.calibration.protocol import Accuracy, accuracy
from models.face.calibration.space import learn_space

__all__ = ["CROWDS", "Calibration", "Crowd", "Data", "GroupRate", "PairSet", "calibrate"]

CROWDS: Final = (1, 3, 10, 30, 100, 300, 1_000)
_REFERENCE: Final = 1e-4
"""The false match rate among the people at which groups are compared."""
_DOUBT: Final = 0.01
"""The share of strangers, among the people, at which doubt begins."""
_LEAST_PEOPLE: Final = 30
"""In a group, and among those who are judged; fewer would bound nothing."""


class PairSet(Struct, frozen=True, eq=False):
    """Pairs of the official protocol: rows of the judged people's embeddings, and the fold of each."""

    one: NDArray[np.int64]
    other: NDArray[np.int64]
    mated: NDArray[np.bool_]
    folds: NDArray[np.int64]


class Data(Struct, frozen=True, kw_only=True, eq=False):
    """Unit vectors of the network, before any refinement."""

    learned: People
    judged: People
    groups: Mapping[str, NDArray[np.float32]]
    """one photo of each person"""
    pairs: PairSet | None = None
    photos: int
    turned_away: Mapping[str, int]
    """photos without an embedding, by reason"""
    source: str


class GroupRate(Struct, frozen=True, kw_only=True):
    """Pairs of a group at the reference threshold."""

    name: str
    people: int
    false_match_rate: float
    bound: float
    """95 %, one-sided, effective pairs"""


class Crowd(Struct, frozen=True, kw_only=True):
    """What the threshold for a crowd is expected to do."""

    templates: int
    wrongful_per_million: int
    threshold: int | None
    missed: float
    is_measured: bool
    fixed_wrongful_per_million: float
    """what the threshold of the smallest crowd would do in this one"""


class Calibration(Struct, frozen=True, kw_only=True):
    """All results, and the model that they make."""

    model: FaceModel
    photos: int
    turned_away: Mapping[str, int]
    learned_people: int
    judged_people: int
    mated: int
    reference_threshold: int
    """the score that one in 10,000 pairs of strangers among the judged people reaches"""
    missed: float
    """share of two photos of one person below it"""
    groups: tuple[GroupRate, ...]
    between_groups: float
    """false match rate of two people of different groups, at the same score"""
    crowds: tuple[Crowd, ...]
    plain: Accuracy | None
    """the official protocol: cosine of the network's output"""
    templates: Accuracy | None
    """the same through templates, one key a fold"""
    roc: tuple[tuple[float, float], ...]
    """share of misses at false match rates among the judged people"""


def calibrate(data: Data, base: FaceModel, model_id: str, keys: Sequence[bytes], targets: Sequence[int]) -> Calibration:
    """Learn, judge, and make the model. `base` gives dimensions and bits. Raises ConfigError for too few people."""
    _check(data)
    every = _stacked(data.groups.values(), base.dimensions)
    model = learn_space(structs.replace(base, id=model_id), data.learned, every)
    judged = data.judged.refined(model)
    tables = [scores(model, judged.embeddings, key) for key in keys]
    mated, strangers = _split(judged, tables)
    left_out = [_left_out(name, data, model, keys) for name in data.groups]
    people = _one_each(judged, tables)
    curve = make_curve([people, *left_out], mated, model.bits)
    reference = int(np.quantile(strangers, 1 - _REFERENCE, method="higher"))
    doubt = min(int(np.quantile(strangers, 1 - _DOUBT)), curve.points[0].score)
    made = structs.replace(
        model,
        curve=curve.points,
        doubt=doubt,
        measured_to=curve.measured_to,
        people=len(data.judged.names) + sum(map(len, data.groups.values())),
        source=data.source,
    )
    return Calibration(
        model=made,
        photos=data.photos,
        turned_away=data.turned_away,
        learned_people=len(data.learned.names),
        judged_people=len(data.judged.names),
        mated=len(mated) // len(keys),
        reference_threshold=reference,
        missed=float(np.mean(mated < reference)),
        groups=tuple(_rate(group, reference) for group in (people, *left_out)),
        between_groups=_between(data, model, keys[0], reference),
        crowds=tuple(_crowd(made, templates, target) for target in targets for templates in CROWDS),
        plain=_accuracy(data.pairs, data.judged.embeddings @ data.judged.embeddings.T) if data.pairs else None,
        templates=_accuracy(data.pairs, np.asarray(tables[0], np.float64)) if data.pairs else None,
        roc=tuple(
            (rate, float(np.mean(mated < np.quantile(strangers, 1 - rate)))) for rate in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
        ),
    )


def _check(data: Data) -> None:
    few = [name for name, rows in data.groups.items() if len(rows) < _LEAST_PEOPLE]
    if few:
        raise ConfigError(f"group {few[0]} has {len(data.groups[few[0]])} faces; {_LEAST_PEOPLE} are needed")
    if len(data.judged.names) < _LEAST_PEOPLE:
        raise ConfigError(f"{len(data.judged.names)} people are left to be judged; {_LEAST_PEOPLE} are needed")
    if len(data.judged.names) == len(data.judged.who):
        raise ConfigError("no person has two photos, so that missed returns cannot be measured")


def _left_out(name: str, data: Data, model: FaceModel, keys: Sequence[bytes]) -> GroupScores:
    """Return the scores of a group by a model that was learned without it."""
    others = _stacked([rows for other, rows in data.groups.items() if other != name], model.dimensions)
    without = learn_space(model, data.learned, others)
    group = data.groups[name]
    refined = People(group, np.arange(len(group))).refined(without).embeddings
    return GroupScores(name, [scores(without, refined, key) for key in keys])


def _one_each(judged: People, tables: Sequence[NDArray[np.int32]]) -> GroupScores:
    _, first = np.unique(judged.who, return_index=True)
    return GroupScores("people", [table[np.ix_(first, first)] for table in tables])


def _split(people: People, tables: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return scores of two photos of one person, and of two people."""
    first, second = np.triu_indices(len(people.who), 1)
    alike = people.who[first] == people.who[second]
    chosen = (np.concatenate([table[first[which], second[which]] for table in tables]) for which in (alike, ~alike))
    one, two = chosen
    return one, two


def _rate(group: GroupScores, threshold: int) -> GroupRate:
    share, bound, _ = group.bound(threshold)
    return GroupRate(name=group.name, people=group.people, false_match_rate=share, bound=bound)


def _between(data: Data, model: FaceModel, key: bytes, threshold: int) -> float:
    if not data.groups:
        return 0.0
    rows = _stacked(data.groups.values(), model.dimensions)
    group = np.repeat(np.arange(len(data.groups)), [len(each) for each in data.groups.values()])
    table = scores(model, People(rows, np.arange(len(rows))).refined(model).embeddings, key)
    first, second = np.triu_indices(len(rows), 1)
    apart = group[first] != group[second]
    return float(np.mean(table[first[apart], second[apart]] >= threshold)) if apart.any() else 0.0


def _crowd(model: FaceModel, templates: int, target: int) -> Crowd:
    point = model.threshold(templates, target)
    smallest: CurvePoint | None = model.threshold(1, target)
    fixed = templates * smallest.false_match / TRILLION * 1e6 if smallest else 0.0
    return Crowd(
        templates=templates,
        wrongful_per_million=target,
        threshold=point.score if point else None,
        missed=point.missed if point else 1.0,
        is_measured=point is not None and point.score <= model.measured_to,
        fixed_wrongful_per_million=fixed,
    )


def _accuracy(pairs: PairSet, table: NDArray[np.floating]) -> Accuracy:
    return accuracy(table[pairs.one, pairs.other], pairs.mated, pairs.folds)


def _stacked(groups: Iterable[NDArray[np.float32]], dimensions: int) -> NDArray[np.float32]:
    rows = list(groups)
    return np.concatenate(rows) if rows else np.zeros((0, dimensions), np.float32)
