"""Two runs side by side, in counts: what was answered, and what would have been, by site and hour. Pure.

What is not answerable is counted, and adds to neither side.
"""

from msgspec import Struct

from models.contract.messages import Refuse
from models.ledger.outcomes import Answered
from models.replay.what_if import Basis, Compared, granted_cm

__all__ = ["Comparison", "Difference"]

_HOUR_MS = 3_600_000


class Difference(Struct, kw_only=True):
    """Of one site and hour, or of several: the columns of the table, of CSV and of JSON."""

    answers: int = 0
    """of requests for paper, repetitions apart"""
    from_templates: int = 0
    without_face: int = 0
    not_answerable: int = 0
    """these three add up to `answers`; what follows is of the first two"""
    changed: int = 0
    """another answer, another portion or another reason"""
    granted_more: int = 0
    """refused then, granted on trial"""
    refused_more: int = 0
    """granted then, refused on trial"""
    cm_then: int = 0
    cm_tried: int = 0
    refused_then: int = 0
    refused_tried: int = 0
    longest_wait_then_s: int = 0
    """what somebody who was refused was told, at most"""
    longest_wait_tried_s: int = 0

    def add(self, compared: Compared) -> None:
        """Count a request."""
        self.answers += 1
        match compared.basis:
            case Basis.TEMPLATES:
                self.from_templates += 1
            case Basis.NO_FACE:
                self.without_face += 1
            case Basis.NOTHING:
                self.not_answerable += 1
                return
        self._beside(compared.then, compared.tried)

    def _beside(self, then: Answered, tried: Answered) -> None:
        was_refused, is_refused = isinstance(then.command, Refuse), isinstance(tried.command, Refuse)
        self.changed += _answer(then) != _answer(tried)
        self.granted_more += was_refused and not is_refused
        self.refused_more += is_refused and not was_refused
        self.cm_then += granted_cm(then.command)
        self.cm_tried += granted_cm(tried.command)
        self.refused_then += was_refused
        self.refused_tried += is_refused
        self.longest_wait_then_s = max(self.longest_wait_then_s, _wait_s(then))
        self.longest_wait_tried_s = max(self.longest_wait_tried_s, _wait_s(tried))

    def include(self, other: "Difference") -> None:
        """Add another's counts."""
        for name in self.__struct_fields__:
            mine, more = getattr(self, name), getattr(other, name)
            setattr(self, name, max(mine, more) if name.startswith("longest") else mine + more)


class Comparison:
    """All counts, by site and the beginning of the hour, milliseconds since 1970."""

    def __init__(self) -> None:
        self.cells: dict[tuple[str, int], Difference] = {}

    def add(self, compared: Compared) -> None:
        """Count a request."""
        cell = (compared.then.site, compared.then.at - compared.then.at % _HOUR_MS)
        self.cells.setdefault(cell, Difference()).add(compared)

    def by_site(self) -> dict[str, Difference]:
        return {site: self._sum(site=site) for site in sorted({site for site, _ in self.cells})}

    def by_hour(self) -> dict[int, Difference]:
        """In the order of time; an hour without answers is not there."""
        return {hour: self._sum(hour=hour) for hour in sorted({hour for _, hour in self.cells})}

    @property
    def total(self) -> Difference:
        return self._sum()

    def _sum(self, site: str | None = None, hour: int | None = None) -> Difference:
        total = Difference()
        for (at_site, in_hour), cell in self.cells.items():
            if site in (None, at_site) and hour in (None, in_hour):
                total.include(cell)
        return total


def _answer(answered: Answered) -> tuple[str, int]:
    """What was given, or why not."""
    reason = answered.command.reason if isinstance(answered.command, Refuse) else ""
    return reason, granted_cm(answered.command)


def _wait_s(answered: Answered) -> int:
    return answered.command.retry_after_s if isinstance(answered.command, Refuse) else 0
