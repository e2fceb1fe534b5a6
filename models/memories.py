"""Whom a site remembered then, and whom it would remember on trial: what may count unseen, on the record. Pure.

Somebody whom the site had forgotten and the trial has not is a stranger on the record when they come again. What the
trial holds of them is hidden then: it may count for any stranger, and for whoever that stranger becomes.
"""

import heapq
from typing import NamedTuple

from models.accounts import VisitorAccount, visitor_key
from models.messages import Answer, Dispense
from models.outcomes import Answered
from models.quota import counting
from models.site import Site

__all__ = ["Memories", "Windows", "counted_cm", "granted_cm"]


class Windows(NamedTuple):
    """A time or a length of time, milliseconds: as it was then, and on trial."""

    then_ms: int
    tried_ms: int


class _Hidden(NamedTuple):
    """What may count for somebody besides, as a heap wants it."""

    minus_cm: int
    until: int

    def cm(self, at: int) -> int:
        return -self.minus_cm if self.until > at else 0


_NOTHING = _Hidden(0, 0)


class Memories:
    """Of one site. Visitors are pseudonyms."""

    def __init__(self) -> None:
        self._until: dict[str, Windows] = {}
        """up to when the site knew them then, and up to when it would"""
        self._ends: list[tuple[int, str]] = []
        """a heap of the first of these"""
        self._hidden: list[_Hidden] = []
        """a heap, the most first: of those who are known on trial alone"""
        self._besides: dict[str, _Hidden] = {}
        """of those who were strangers while something was hidden; the oldest first"""
        self._blurred: dict[str, int] = {}
        """up to when it is not sure what counts for a visitor; the oldest first"""

    def hidden_cm(self, site: Site, then: Answered) -> int:
        """What may count for whoever was answered then, besides what counts for their visitor, at most."""
        self._forget(site, then.at)
        if then.identity == "same":
            besides = self._besides.get(then.visitor or "", _NOTHING)
        else:
            besides = self._hidden[0] if self._hidden else _NOTHING
            if then.visitor and self._hidden:
                self._besides[then.visitor] = besides
        return besides.cm(then.at)

    def _forget(self, site: Site, at: int) -> None:
        """Follow who is known on trial alone by now."""
        while self._ends and self._ends[0][0] <= at:
            ended, visitor = heapq.heappop(self._ends)
            if (until := self._until.get(visitor)) and until.then_ms == ended:
                del self._until[visitor]
                cm = _counted_cm(site, visitor, at) + self._besides.pop(visitor, _NOTHING).cm(at)
                heapq.heappush(self._hidden, _Hidden(-cm, until.tried_ms))
        while self._hidden and self._hidden[0].until <= at:
            heapq.heappop(self._hidden)

    def remember(self, then: Answered, tried: Answered, windows: Windows) -> None:
        """Take in whose template was kept then, and whose would have been."""
        visitor = tried.visitor or then.visitor
        if visitor is None or not (granted_cm(then.command) or granted_cm(tried.command)):
            return
        known = self._until.get(visitor, Windows(then.at, then.at))
        until = Windows(
            then.at + windows.then_ms if granted_cm(then.command) else known.then_ms,
            then.at + windows.tried_ms if granted_cm(tried.command) else known.tried_ms,
        )
        self._until[visitor] = until
        heapq.heappush(self._ends, (until.then_ms, visitor))

    def is_blurred(self, then: Answered, tried: Answered) -> bool:
        """Whether it is not sure what counts for one of the two."""
        visitors = filter(None, (then.visitor, tried.visitor))
        return any(self._blurred.get(visitor, 0) > then.at for visitor in visitors)

    def blur(self, then: Answered, tried: Answered, windows: Windows) -> None:
        """For a window it is not sure what counts for these two. What is not sure for that alone blurs nobody."""
        while self._blurred and next(iter(self._blurred.values())) <= then.at:
            del self._blurred[next(iter(self._blurred))]
        for visitor in filter(None, (then.visitor, tried.visitor)):
            self._blurred.pop(visitor, None)
            self._blurred[visitor] = then.at + windows.tried_ms


def granted_cm(command: Answer) -> int:
    """What an answer grants; 0 for a refusal."""
    return command.cm if isinstance(command, Dispense) else 0


def counted_cm(site: Site, answered: Answered) -> int:
    """What counts for the visitor of an answer, its own grant included."""
    return _counted_cm(site, answered.visitor, answered.at) if answered.visitor else 0


def _counted_cm(site: Site, visitor: str, at: int) -> int:
    account = site.accounts.get(visitor_key(site.name, visitor))
    charges = site.charges(account.entries, site.horizon(at)) if isinstance(account, VisitorAccount) else ()
    return sum(charge.cm for charge in counting(charges, now=at, horizon=site.horizon(at)))
