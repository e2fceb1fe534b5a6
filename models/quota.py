"""Centimetres in a trailing window: pure arithmetic on charges."""

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Charge", "wait_ms"]


class Charge(NamedTuple):
    """Centimetres that count from `at`, milliseconds since 1970, for one window."""

    at: int
    cm: int


def wait_ms(
    charges: Iterable[Charge], *, now: int, window_ms: int, horizon: int, limit_cm: int, portion_cm: int
) -> int:
    """How long until a portion fits under the limit; 0 if it fits now.

    A charge counts while `at > horizon` and leaves at `at + window_ms`. The portion must not exceed the limit.
    """
    live = sorted(charge for charge in charges if charge.at > horizon)
    spent = sum(charge.cm for charge in live)
    wait = 0
    for charge in live:
        if spent + portion_cm <= limit_cm:
            break
        spent -= charge.cm
        wait = max(1, charge.at + window_ms - now)
    return wait
