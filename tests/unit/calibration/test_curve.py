import math

import numpy as np
import pytest
from numpy.typing import NDArray

from models.contract.face_models import TRILLION
from models.errors import ConfigError
from models.face.calibration.curve import GroupScores, effective_pairs, make_curve

BITS, MEAN, DEVIATION = 2048, 1024, 40
RNG = np.random.default_rng(7)
MATED = RNG.normal(1500, 60, 2_000).astype(int)


def symmetric(table: NDArray[np.generic]) -> NDArray[np.int32]:
    upper = np.triu(table.astype(np.float64), 1)
    return (upper + upper.T).astype(np.int32)


def strangers(people: int, shift: float = 0, name: str = "group") -> GroupScores:
    tables = [symmetric(RNG.normal(MEAN + shift, DEVIATION, (people, people))) for _ in range(2)]
    return GroupScores(name, tables)


def share_above(score: int, shift: float = 0) -> float:
    return 0.5 * math.erfc((score - 0.5 - MEAN - shift) / DEVIATION / math.sqrt(2))


def test_independent_pairs_count_nearly_as_themselves() -> None:
    matched = symmetric(RNG.random((200, 200)) < 0.05).astype(float)
    share, pairs = effective_pairs(matched)
    assert share == pytest.approx(0.05, abs=0.01)
    assert 0.4 * 200 * 199 / 2 < pairs <= 200 * 199 / 2


def test_matches_that_belong_to_a_few_people_count_as_fewer_pairs() -> None:
    matched = np.zeros((200, 200))
    matched[:10, :] = matched[:, :10] = 1
    np.fill_diagonal(matched, 0)
    share, pairs = effective_pairs(matched)
    assert share == pytest.approx(0.097, abs=0.01)
    assert pairs < 200


def test_bounds_are_above_the_true_rates_also_where_nothing_was_measured() -> None:
    curve = make_curve([strangers(150), strangers(150, 20, "worst")], MATED, BITS)
    assert curve.points[0].score < curve.measured_to < curve.points[-1].score
    for point in curve.points:
        assert point.false_match / TRILLION >= share_above(point.score, 20)


def test_worst_group_decides() -> None:
    alone = make_curve([strangers(150)], MATED, BITS)
    both = make_curve([strangers(150), strangers(150, 40)], MATED, BITS)
    at = {point.score: point.false_match for point in alone.points}
    shared = [point for point in both.points if point.score in at and point.score <= alone.measured_to]
    assert shared
    assert all(point.false_match > at[point.score] for point in shared)


def test_curve_rises_in_scores_and_misses_and_never_in_false_matches() -> None:
    points = make_curve([strangers(100)], MATED, BITS).points
    assert [point.score for point in points] == sorted({point.score for point in points})
    assert [point.false_match for point in points] == sorted((point.false_match for point in points), reverse=True)
    assert [point.missed for point in points] == sorted(point.missed for point in points)


def test_people_who_all_look_alike_have_no_curve() -> None:
    alike = GroupScores("alike", [np.full((50, 50), BITS, np.int32)])
    with pytest.raises(ConfigError, match=r"cannot be separated|too few people"):
        make_curve([alike], MATED, BITS)
