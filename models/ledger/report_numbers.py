"""The received numbers of a dispenser's reports: gaps are counted, in whatever order reports come."""

from msgspec import Struct

__all__ = ["Numbering"]

_MOST_BEYOND = 64
"""Twice what a dispenser has in flight (docs/contract.md, Reports): a gap behind more numbers is a loss, no delay."""


class Numbering(Struct, frozen=True, array_like=True):
    """The received numbers, as a bound and the numbers beyond it: small for any number of reports.

    A dispenser that lost its journal counts from 1 again: its numbers then count as known for a while, without gaps.
    """

    upto: int = 0
    """every number up to here was received, or given up"""
    beyond: tuple[int, ...] = ()
    """numbers received out of order, ascending"""
    lost: int = 0
    """numbers given up so far"""

    @property
    def missing(self) -> int:
        """How many numbers below the highest are missing."""
        return self.lost + (self.beyond[-1] - self.upto - len(self.beyond) if self.beyond else 0)

    def knows(self, number: int) -> bool:
        return number <= self.upto or number in self.beyond

    def including(self, number: int) -> "Numbering":
        """Add a number. Numbers before the first known one are not counted as gaps."""
        if self.knows(number):
            return self
        upto = number - 1 if self == Numbering() and number > _MOST_BEYOND else self.upto
        return _closed_up(Numbering(upto, tuple(sorted((*self.beyond, number))), self.lost))


def _closed_up(numbering: Numbering) -> Numbering:
    """Move the bound over the numbers that follow without a gap, and over the oldest gap if too many are beyond it."""
    upto, beyond, lost = numbering.upto, list(numbering.beyond), numbering.lost
    while beyond and (beyond[0] == upto + 1 or len(beyond) > _MOST_BEYOND):
        lost += beyond[0] - upto - 1
        upto = beyond.pop(0)
    return Numbering(upto, tuple(beyond), lost)
