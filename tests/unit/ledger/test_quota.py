import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.ledger.quota import Charge, wait_ms

NOW, WINDOW_S, PORTION = 1_700_000_000, 20, 60
limits = st.integers(PORTION, 200)


def wait_s(charges: list[Charge], limit_cm: int, horizon_s: int = NOW - WINDOW_S) -> float:
    """Charges are told in seconds."""
    in_ms = [Charge(at * 1000, cm) for at, cm, _ in charges]
    wait = wait_ms(
        in_ms,
        now=NOW * 1000,
        window_ms=WINDOW_S * 1000,
        horizon=horizon_s * 1000,
        limit_cm=limit_cm,
        portion_cm=PORTION,
    )
    return wait / 1000


def fits(charges: list[Charge], limit_cm: int, at: int, floor: int) -> bool:
    spent = sum(charge.cm for charge in charges if charge.at > max(at - WINDOW_S, floor))
    return spent + PORTION <= limit_cm


ages = st.integers(0, 2 * WINDOW_S)
charged = st.lists(st.builds(lambda age, cm: Charge(NOW - age, cm), ages, st.integers(0, 130)), max_size=8)


@given(charged, limits, st.integers(0, WINDOW_S))
def test_the_wait_ends_in_the_first_second_in_which_a_portion_fits(
    charges: list[Charge], limit_cm: int, remembered: int
) -> None:
    floor = NOW - remembered
    oracle = next(s for s in range(2 * WINDOW_S) if fits(charges, limit_cm, NOW + s, floor))
    assert wait_s(charges, limit_cm, floor) == oracle


@given(charged, limits, st.randoms(use_true_random=False))
def test_the_order_of_charges_means_nothing(charges: list[Charge], limit_cm: int, rng: object) -> None:
    shuffled = sorted(charges, key=lambda _: rng.random())  # type: ignore[attr-defined]  # hypothesis's Random
    assert wait_s(shuffled, limit_cm) == wait_s(charges, limit_cm)


@pytest.mark.parametrize(("age", "expected"), [(0, 20), (1, 19), (19, 1), (20, 0), (21, 0)])
def test_a_charge_leaves_exactly_one_window_after_it_was_made(age: int, expected: int) -> None:
    assert wait_s([Charge(NOW - age, 60)], 60) == expected


def test_a_charge_of_a_longer_window_still_makes_one_wait_a_moment() -> None:
    assert wait_s([Charge(NOW - WINDOW_S, 60)], 60, horizon_s=NOW - 3 * WINDOW_S) == 0.001
