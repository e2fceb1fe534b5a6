"""Centimetres in a trailing window: pure arithmetic on charges, and sums that are kept instead of recomputed."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Charge", "WindowSum", "counting", "wait_ms"]


class Charge(NamedTuple):
    """Centimetres that count from `at`, milliseconds since 1970, for one window, or up to `until` if that is sooner."""

    at: int
    cm: int
    until: int | None = None

    def leaves(self, window_ms: int) -> int:
        """Return when it stops counting, milliseconds since 1970."""
        end = self.at + window_ms
        return end if self.until is None else min(end, self.until)


def counting(charges: Iterable[Charge], *, now: int, horizon: int) -> list[Charge]:
    """Return the charges that count now: `at > horizon`, and `until`, if given, is in the future."""
    return [charge for charge in charges if charge.at > horizon and (charge.until is None or charge.until > now)]


def wait_ms(
    charges: Iterable[Charge], *, now: int, window_ms: int, horizon: int, limit_cm: int, portion_cm: int
) -> int:
    """Return how long until a portion fits under the limit; 0 if it fits now.

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


class WindowSum:
    """Amounts, each counting from its time for one window, and their sum, which is kept.

    The cost of a method does not grow with the number of amounts, except for a binary search and for those that expired
    since the last `expire`. Horizons never move back, so an expired amount never counts again.
    """

    __slots__ = ("_amounts", "_dropped", "_first", "_total")

    def __init__(self) -> None:
        self._amounts: list[tuple[int, int]] = []
        """time, milliseconds since 1970, and amount, in order"""
        self._first = 0
        """index of the first that was not dropped"""
        self._dropped = -1
        """what happened up to this time was dropped"""
        self._total = 0

    def add(self, at: int, amount: int) -> None:
        """Add an amount that counts from `at` on, unless it has expired."""
        if at > self._dropped:
            insort(self._amounts, (at, amount), self._first)
            self._total += amount

    def remove(self, at: int, amount: int) -> None:
        """Take back an amount that was added."""
        if at > self._dropped:
            del self._amounts[bisect_left(self._amounts, (at, amount), self._first)]
            self._total -= amount

    def expire(self, horizon: int) -> None:
        """Drop the amounts that have expired at this horizon."""
        first, total = self._from(horizon)
        if first > self._first:
            self._first, self._total, self._dropped = first, total, horizon
            if 2 * first > len(self._amounts):  # so that dropping costs the same for any number of amounts
                del self._amounts[:first]
                self._first = 0

    def after(self, horizon: int) -> int:
        """Return the sum of the amounts that count at a horizon, which must not be before the last `expire`."""
        return self._from(horizon)[1]

    def wait_ms(self, *, now: int, window_ms: int, horizon: int, limit: int, portion: int) -> int:
        """Return how long until a portion fits under the limit; 0 if it fits now.

        Walks the amounts in the order of their expiry, as far as needed; the portion must not exceed the limit.
        """
        first, spent = self._from(horizon)
        wait = 0
        while spent + portion > limit:
            at, amount = self._amounts[first]
            spent -= amount
            wait = max(1, at + window_ms - now)
            first += 1
        return wait

    def _from(self, horizon: int) -> tuple[int, int]:
        """Return the index of the first amount that counts at a horizon, and the sum from there on."""
        amounts, first, total = self._amounts, self._first, self._total
        while first < len(amounts) and amounts[first][0] <= horizon:
            total -= amounts[first][1]
            first += 1
        return first, total
