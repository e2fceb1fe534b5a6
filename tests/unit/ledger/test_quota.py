import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from models.ledger.rules.quota import Charge, WindowSum, wait_ms

NOW, WINDOW_S, PORTION = 1_700_000_000, 20, 60
limits = st.integers(PORTION, 200)


def wait_s(charges: list[Charge], limit_cm: int, horizon_s: int = NOW - WINDOW_S) -> float:
    """Charges are given in seconds."""
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


# -- the same, as a sum that is kept ------------------------------------------------------------------

times = st.integers(0, 3 * WINDOW_S)
amounts = st.integers(0, 130)


class LikeAPlainList(RuleBasedStateMachine):
    """A kept sum against a list that is added up. Time goes on; horizons follow it."""

    def __init__(self) -> None:
        super().__init__()
        self.sum, self.plain, self.horizon = WindowSum(), list[tuple[int, int]](), 0

    @rule(at=times, amount=amounts)
    def add(self, at: int, amount: int) -> None:
        self.sum.add(at, amount)
        self.plain.append((at, amount))

    @precondition(lambda self: self.plain)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        at, amount = data.draw(st.sampled_from(self.plain))
        self.sum.remove(at, amount)
        self.plain.remove((at, amount))

    @rule(later=st.integers(0, 10))
    def expire(self, later: int) -> None:
        self.horizon += later
        self.sum.expire(self.horizon)

    @rule(later=st.integers(0, 10), limit=limits)
    def compare(self, later: int, limit: int) -> None:
        horizon = self.horizon + later
        assert self.sum.after(horizon) == sum(amount for at, amount in self.plain if at > horizon)
        now = horizon + WINDOW_S
        window = {"now": now, "window_ms": WINDOW_S, "horizon": horizon}
        charges = [Charge(at, amount) for at, amount in self.plain]
        wait = wait_ms(charges, **window, limit_cm=limit, portion_cm=PORTION)
        assert self.sum.wait_ms(**window, limit=limit, portion=PORTION) == wait


TestLikeAPlainList = LikeAPlainList.TestCase
TestLikeAPlainList.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
