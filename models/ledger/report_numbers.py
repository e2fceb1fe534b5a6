"""Which of a dispenser's numbered reports came: gaps are counted, however late a report comes."""

from msgspec import Struct

__all__ = ["Numbering"]

_MOST_BEYOND = 64
"""Twice what a dispenser has under way (docs/contract.md, Reports): a gap that outlives so many is no delay."""


class Numbering(Struct, frozen=True, array_like=True):
    """The numbers that came, as a bound and what lies beyond it: small, however many reports there were.

    A dispenser that lost its memory counts from 1 again: its numbers are then known for a while, and no gap is seen.
    """

    upto: int = 0
    """every number up to here came, or was given up"""
    beyond: tuple[int, ...] = ()
    """what came out of order, ascending"""
    lost: int = 0
    """numbers given up so far"""

    @property
    def missing(self) -> int:
        """How many numbers below the highest have not come."""
        return self.lost + (self.beyond[-1] - self.upto - len(self.beyond) if self.beyond else 0)

    def knows(self, number: int) -> bool:
        return number <= self.upto or number in self.beyond

    def including(self, number: int) -> "Numbering":
        """Take in a number. Numbers before the first known one are not counted as gaps."""
        if self.knows(number):
            return self
        upto = number - 1 if self == Numbering() and number > _MOST_BEYOND else self.upto
        return _closed_up(Numbering(upto, tuple(sorted((*self.beyond, number))), self.lost))


def _closed_up(numbering: Numbering) -> Numbering:
    """Move the bound over what follows it without a gap, and over the oldest gap where too much lies beyond it."""
    upto, beyond, lost = numbering.upto, list(numbering.beyond), numbering.lost
    while beyond and (beyond[0] == upto + 1 or len(beyond) > _MOST_BEYOND):
        lost += beyond[0] - upto - 1
        upto = beyond.pop(0)
    return Numbering(upto, tuple(beyond), lost)
