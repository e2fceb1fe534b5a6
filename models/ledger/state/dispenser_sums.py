"""Sums of what counts against the limits of one dispenser, updated instead of recomputed."""

from collections.abc import Iterator

from models.ledger.rows import Entry, Settlement
from models.ledger.rules.quota import WindowSum

__all__ = ["DispenserSums"]


class DispenserSums:
    """Sums over the requests of one dispenser.

    A grant counts in full for a window from its decision, whatever is reported: the limits hold even if reports are
    wrong. Paper without a known grant counts as reported.
    """

    __slots__ = ("answers", "buttons", "given", "unmatched")

    def __init__(self) -> None:
        self.given = WindowSum()
        """centimetres, staff excluded"""
        self.buttons = WindowSum()
        """centimetres of it that were given without an identity"""
        self.unmatched = WindowSum()
        """number of settlements for which no grant is known"""
        self.answers = WindowSum()
        """number of answers that count against no limit"""

    def count(self, entry: Entry | None, settlement: Settlement | None, *, is_visitors: bool, sign: int) -> None:
        """Add (sign 1) or subtract (-1) the amounts of a request."""
        for window, at, amount in self._amounts(entry, settlement, is_visitors):
            if sign > 0:
                window.add(at, amount)
            else:
                window.remove(at, amount)

    def expire(self, horizon: int) -> None:
        """Drop the amounts that have expired at this horizon."""
        for window in (self.given, self.buttons, self.unmatched, self.answers):
            window.expire(horizon)

    def _amounts(
        self, entry: Entry | None, settlement: Settlement | None, is_visitors: bool
    ) -> Iterator[tuple[WindowSum, int, int]]:
        if entry and entry.counts:
            yield self.given, entry.at, entry.granted_cm
            if not is_visitors:
                yield self.buttons, entry.at, entry.granted_cm
        elif entry:
            yield self.answers, entry.at, 1
        if settlement and not (entry and entry.granted_cm and settlement.counts_from <= entry.at):
            yield from self._unmatched(settlement)

    def _unmatched(self, settlement: Settlement) -> Iterator[tuple[WindowSum, int, int]]:
        """Paper dispensed for a request without a known grant: the request never came, or a hold erased it."""
        at = settlement.counts_from
        yield self.unmatched, at, 1
        yield self.given, at, settlement.cm
        if not settlement.is_visitors:
            yield self.buttons, at, settlement.cm
