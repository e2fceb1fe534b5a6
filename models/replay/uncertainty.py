"""What the record cannot tell of people: how much more, or less, may count for them than is known. Pure.

Somebody whom the site had forgotten and the trial has not is a stranger on the record when they come again. What the
trial holds of them is hidden then: it may count for any stranger, and for whoever that stranger becomes. And an answer
that is not sure leaves behind a grant that may not have been, or none where one may have been.
"""

import heapq
from typing import NamedTuple

from models.contract.messages import Answer, Dispense, Refuse
from models.ledger.outcomes import Answered
from models.ledger.quota import counting
from models.ledger.rows import VisitorAccount, visitor_key
from models.ledger.site import Site

__all__ = ["Memories", "Windows", "granted_cm"]


class Windows(NamedTuple):
    """A time or a length of time, milliseconds: as it was then, and on trial."""

    then_ms: int
    tried_ms: int


class _Slack:
    """Centimetres that may count for visitors, or may not, up to a time."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[int, int]] = {}
        """centimetres and time, the oldest entry first"""

    def add(self, visitor: str, at: int, cm: int, until: int) -> None:
        while self._of and next(iter(self._of.values()))[1] <= at:
            del self._of[next(iter(self._of))]
        known = self.cm(visitor, at)
        _, end = self._of.pop(visitor, (0, 0))
        self._of[visitor] = (known + cm, max(end, until))

    def cm(self, visitor: str, at: int) -> int:
        cm, until = self._of.get(visitor, (0, 0))
        return cm if until > at else 0


class Memories:
    """Of one site. Visitors are pseudonyms."""

    def __init__(self) -> None:
        self._until: dict[str, Windows] = {}
        """up to when the site knew them then, and up to when it would"""
        self._ends: list[tuple[int, str]] = []
        """a heap of the first of these"""
        self._hidden: list[tuple[int, int]] = []
        """a heap of those who are known on trial alone: centimetres, negative so that the most come first, and time"""
        self._more, self._less = _Slack(), _Slack()
        """what may count besides, and what may not; for anybody who is known, under no name"""

    def meet(self, site: Site, then: Answered, tried: Answered, windows: Windows) -> None:
        """Take in an answer on the record: whom it may hide, whose template was kept then, whose would have been."""
        visitor = tried.visitor or then.visitor
        self._forget(site, then.at)
        if visitor is None:
            return
        if then.identity != "same" and self._hidden:
            minus_cm, until = self._hidden[0]
            self._more.add(visitor, then.at, -minus_cm, until)
        if granted_cm(then.command) or granted_cm(tried.command):
            self._remember(visitor, then, tried, windows)

    def is_sure(self, site: Site, tried: Answered) -> bool:
        """Whether the answer is the same whatever may count and may not."""
        visitor, at, policy = tried.visitor or "", tried.at, site.policy
        counted_cm = _counted_cm(site, visitor, at)
        match tried.command:
            case Dispense():
                besides_cm = self._more.cm(visitor, at) + (self._more.cm("", at) if tried.identity == "same" else 0)
                return counted_cm + besides_cm <= policy.limit_cm
            case Refuse(reason="quota"):
                return counted_cm - self._less.cm(visitor, at) + policy.portion_cm > policy.limit_cm
            case _:
                return True

    def is_vague(self, then: Answered) -> bool:
        """Whether more may count for the visitor of then than is known."""
        return self._more.cm(then.visitor or "", then.at) > 0

    def doubt(self, site: Site, visitor: str | None, tried: Answered) -> None:
        """Remember that an answer to a visitor may have been the other one."""
        if visitor is None:
            return
        slack = self._less if isinstance(tried.command, Dispense) else self._more
        slack.add(visitor, tried.at, site.policy.portion_cm, tried.at + site.policy.window_ms)

    def mistake(self, site: Site, visitor: str | None, at: int) -> None:
        """A stranger may be somebody who is known, and nobody tells whom: it may count for any of them."""
        self.blur(site, visitor, at)
        self._more.add("", at, site.policy.portion_cm, at + site.policy.window_ms)

    def blur(self, site: Site, visitor: str | None, at: int) -> None:
        """For a window anything may count for a visitor, or nothing."""
        for slack in (self._more, self._less) if visitor else ():
            slack.add(str(visitor), at, site.policy.limit_cm, at + site.policy.window_ms)

    def _forget(self, site: Site, at: int) -> None:
        """Follow who is known on trial alone by now."""
        while self._ends and self._ends[0][0] <= at:
            ended, visitor = heapq.heappop(self._ends)
            if (until := self._until.get(visitor)) and until.then_ms == ended:
                del self._until[visitor]
                cm = min(_counted_cm(site, visitor, at) + self._more.cm(visitor, at), site.policy.limit_cm)
                heapq.heappush(self._hidden, (-cm, until.tried_ms))
        while self._hidden and self._hidden[0][1] <= at:
            heapq.heappop(self._hidden)

    def _remember(self, visitor: str, then: Answered, tried: Answered, windows: Windows) -> None:
        known = self._until.get(visitor, Windows(then.at, then.at))
        until = Windows(
            then.at + windows.then_ms if granted_cm(then.command) else known.then_ms,
            then.at + windows.tried_ms if granted_cm(tried.command) else known.tried_ms,
        )
        self._until[visitor] = until
        heapq.heappush(self._ends, (until.then_ms, visitor))


def granted_cm(command: Answer) -> int:
    """What an answer grants; 0 for a refusal."""
    return command.cm if isinstance(command, Dispense) else 0


def _counted_cm(site: Site, visitor: str, at: int) -> int:
    account = site.accounts.get(visitor_key(site.name, visitor))
    charges = site.charges(account.entries, site.horizon(at)) if isinstance(account, VisitorAccount) else ()
    return sum(charge.cm for charge in counting(charges, now=at, horizon=site.horizon(at)))
