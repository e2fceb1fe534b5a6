"""Centimetres in a trailing window: pure arithmetic on charges."""

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Charge", "counting", "wait_ms"]


class Charge(NamedTuple):
    """Centimetres that count from `at`, milliseconds since 1970, for one window, or up to `until` if that is sooner."""

    at: int
    cm: int
    until: int | None = None

    def leaves(self, window_ms: int) -> int:
        """Tell when it stops counting, milliseconds since 1970."""
        end = self.at + window_ms
        return end if self.until is None else min(end, self.until)


def counting(charges: Iterable[Charge], *, now: int, horizon: int) -> list[Charge]:
    """Give those that count now: `at > horizon`, and `until`, if it has one, is to come."""
    return [charge for charge in charges if charge.at > horizon and (charge.until is None or charge.until > now)]


def wait_ms(
    charges: Iterable[Charge], *, now: int, window_ms: int, horizon: int, limit_cm: int, portion_cm: int
) -> int:
    """How long until a portion fits under the limit; 0 if it fits now.

    The portion must not exceed the limit.
    """
    live = counting(charges, now=now, horizon=horizon)
    spent = sum(charge.cm for charge in live)
    wait = 0
    for charge in sorted(live, key=lambda charge: charge.leaves(window_ms)):
        if spent + portion_cm <= limit_cm:
            break
        spent -= charge.cm
        wait = max(1, charge.leaves(window_ms) - now)
    return wait
