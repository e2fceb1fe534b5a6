import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError
from models.face.measures import (
    Counts,
    by_chance,
    count,
    decidability,
    equal_error_rate,
    linkability,
    local_linkability,
    normal_false_match_rate,
    rates,
    upper_bound,
)


def counts_of(mated: list[float], non_mated: list[float]) -> Counts:
    return count(np.array(mated + non_mated), np.arange(len(mated) + len(non_mated)) < len(mated), 512)


def normal_counts(seed: int, mated: float, non_mated: float, size: int = 100_000) -> Counts:
    rng = np.random.default_rng(seed)
    return counts_of(rng.normal(mated, 16, size).tolist(), rng.normal(non_mated, 16, size).tolist())


ALIKE = counts_of([250, 256, 262], [250, 256, 262])
APART = counts_of([400, 410], [250, 260])


def test_what_looks_alike_cannot_be_linked() -> None:
    assert linkability(ALIKE) == 0
    assert not local_linkability(ALIKE).any()
    assert equal_error_rate(ALIKE) == pytest.approx(0.5)
    assert decidability(ALIKE) == 0


def test_what_lies_apart_is_linked_every_time() -> None:
    assert linkability(APART) == 1
    assert equal_error_rate(APART) == 0
    assert decidability(APART) == pytest.approx(150 / 5)


def test_normal_scores_have_the_error_of_the_textbook() -> None:
    counts = normal_counts(1, mated=288, non_mated=256)
    assert decidability(counts) == pytest.approx(2, abs=0.02)
    assert equal_error_rate(counts) == pytest.approx(0.1587, abs=0.003)  # half a d' below the mean
    assert normal_false_match_rate(counts, 288) == pytest.approx(0.0243, abs=0.001)  # from 287.5, as scores are whole
    assert rates(counts).false_match[288] == pytest.approx(0.0243, abs=0.003)


def test_a_score_twice_as_likely_of_one_person_is_a_third_linkable() -> None:
    counts = counts_of([300, 300, 200], [300, 200, 200])
    local = local_linkability(counts)
    assert local[300 // 4] == pytest.approx(1 / 3)
    assert local[200 // 4] == 0  # likelier of two people: no link
    assert linkability(counts) == pytest.approx(2 / 3 * 1 / 3)


def test_more_mated_than_non_mated_comparisons_change_nothing() -> None:
    assert linkability(counts_of([250, 260] * 50, [250, 260])) == 0
    assert equal_error_rate(counts_of([250, 260] * 50, [250, 260])) == pytest.approx(0.5)


def test_dealing_at_random_keeps_every_score_and_leaves_no_link() -> None:
    dealt = by_chance(normal_counts(2, mated=400, non_mated=256), np.random.default_rng(3))
    assert (dealt.mated.sum(), dealt.non_mated.sum()) == (100_000, 100_000)
    assert linkability(dealt) < 0.02


@given(st.lists(st.integers(0, 512), min_size=1), st.lists(st.integers(0, 512), min_size=1))
def test_every_measure_stays_within_its_bounds(mated: list[int], non_mated: list[int]) -> None:
    counts = counts_of(list(mated), list(non_mated))
    both = rates(counts)
    assert 0 <= linkability(counts) <= 1 + 1e-9
    assert 0 <= equal_error_rate(counts) <= 1
    assert (both.false_match[0], both.false_match[-1]) == (1, 0)
    assert (both.false_non_match[0], both.false_non_match[-1]) == (0, 1)


def test_a_threshold_itself_matches() -> None:
    both = rates(counts_of([380, 379], [380, 300, 300, 300]))
    assert both.false_match[380] == 0.25
    assert both.false_non_match[380] == 0.5
    assert both.false_match[381] == 0


def test_without_strangers_there_is_nothing_to_say() -> None:
    with pytest.raises(ConfigError, match="photos of two people are needed"):
        linkability(counts_of([1.0], []))


@pytest.mark.parametrize(
    ("failures", "trials", "bound"),
    [(0, 15, 0.18104), (0, 300, 0.009936), (0, 8_000_000, 3.7447e-7), (1, 10, 0.39416), (10, 100, 0.16372), (3, 3, 1)],
)
def test_upper_bound_is_that_of_clopper_and_pearson(failures: int, trials: int, bound: float) -> None:
    assert upper_bound(failures, trials) == pytest.approx(bound, rel=1e-4)
