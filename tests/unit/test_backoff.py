import random

from models.backoff import Backoff


def test_waits_double_up_to_the_longest_less_up_to_half() -> None:
    backoff = Backoff(random.uniform, 0.5, 30.0)
    for bound in (0.5, 1, 2, 4, 8, 16, 30, 30, *[30] * 10_000):
        assert bound / 2 <= backoff.after() <= bound


def test_no_two_that_failed_together_come_back_together() -> None:
    assert len({Backoff(random.uniform, 1.0).after() for _ in range(100)}) > 90


def test_what_worked_for_long_enough_begins_anew() -> None:
    backoff = Backoff(random.uniform, 0.2, 5.0, worked_s=5.0)
    waits = [backoff.after(lasted_s) for lasted_s in (0, 0, 0, 0, 0, 4.9, 5.0, 0)]
    assert waits[5] >= 2.5
    assert waits[6] <= 0.2
    assert waits[7] <= 0.4


def test_two_dispensers_with_one_name_do_not_throw_each_other_out_as_fast_as_they_can() -> None:
    backoff = Backoff(random.uniform, 0.2, 5.0, worked_s=5.0)
    assert [backoff.after(0.05) for _ in range(8)][-1] >= 2.5
