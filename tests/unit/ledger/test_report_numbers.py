"""Gaps in the numbers of a dispenser's reports."""

import random

from hypothesis import given
from hypothesis import strategies as st

from models.ledger.report_numbers import Numbering


def after(*numbers: int) -> Numbering:
    numbering = Numbering()
    for number in numbers:
        numbering = numbering.including(number)
    return numbering


def test_a_gap_counts_until_the_number_comes() -> None:
    assert after(1, 2, 4).missing == 1
    assert after(1, 2, 4, 3) == Numbering(4)


def test_a_number_that_comes_again_changes_nothing() -> None:
    numbering = after(1, 2, 4)
    assert numbering.including(2) is numbering
    assert numbering.including(4) is numbering


def test_reports_from_before_the_pipeline_knew_the_dispenser_are_no_gap() -> None:
    assert after(5_000, 5_001).missing == 0


def test_a_gap_that_outlives_many_reports_is_given_up_and_stays_counted() -> None:
    numbering = after(1, *range(4, 200))
    assert (numbering.missing, numbering.lost, numbering.beyond) == (2, 2, ())
    assert numbering.including(200).missing == 2
    assert numbering.including(3).missing == 2


@given(st.sets(st.integers(1, 60), max_size=40), st.randoms(use_true_random=False))
def test_the_order_of_arrival_means_nothing(numbers: set[int], rng: random.Random) -> None:
    shuffled = list(numbers)
    rng.shuffle(shuffled)
    assert after(*shuffled) == after(*sorted(numbers))
    assert after(*shuffled).missing == max(numbers, default=0) - len(numbers)
