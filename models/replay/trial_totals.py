"""Totals of a what-if: recorded and trial answers by site and hour. Pure.

Answers that are not answerable are counted, and add to neither side.
"""

from msgspec import Struct

from models.contract.messages import Refuse
from models.ledger.outcomes import Answered
from models.replay.what_if import Basis, TrialAnswer, granted_cm

__all__ = ["TrialCounts", "TrialTotals"]

_HOUR_MS = 3_600_000


class TrialCounts(Struct, kw_only=True):
    """Counts of a site and hour, or of several; the columns of the table, of CSV and of JSON."""

    answers: int = 0
    """to requests for paper, without repetitions"""
    from_templates: int = 0
    without_face: int = 0
    not_answerable: int = 0
    """These three add up to `answers`; the following fields count the first two."""
    changed: int = 0
    """another answer, portion or reason"""
    granted_more: int = 0
    """recorded as refused, granted by the trial"""
    refused_more: int = 0
    """recorded as granted, refused by the trial"""
    cm_recorded: int = 0
    cm_trial: int = 0
    refused_recorded: int = 0
    refused_trial: int = 0
    longest_wait_recorded_s: int = 0
    """longest `retry_after_s` of a refusal"""
    longest_wait_trial_s: int = 0

    def add(self, compared: TrialAnswer) -> None:
        """Count an answer."""
        self.answers += 1
        match compared.basis:
            case Basis.TEMPLATES:
                self.from_templates += 1
            case Basis.NO_FACE:
                self.without_face += 1
            case Basis.NOTHING:
                self.not_answerable += 1
                return
        self._compare(compared.recorded, compared.trial)

    def _compare(self, recorded: Answered, trial: Answered) -> None:
        was_refused, is_refused = isinstance(recorded.command, Refuse), isinstance(trial.command, Refuse)
        self.changed += _answer(recorded) != _answer(trial)
        self.granted_more += was_refused and not is_refused
        self.refused_more += is_refused and not was_refused
        self.cm_recorded += granted_cm(recorded.command)
        self.cm_trial += granted_cm(trial.command)
        self.refused_recorded += was_refused
        self.refused_trial += is_refused
        self.longest_wait_recorded_s = max(self.longest_wait_recorded_s, _wait_s(recorded))
        self.longest_wait_trial_s = max(self.longest_wait_trial_s, _wait_s(trial))

    def include(self, other: "TrialCounts") -> None:
        """Add the counts of `other`."""
        for name in self.__struct_fields__:
            mine, more = getattr(self, name), getattr(other, name)
            setattr(self, name, max(mine, more) if name.startswith("longest") else mine + more)


class TrialTotals:
    """Counts by site and start of the hour, milliseconds since 1970."""

    def __init__(self) -> None:
        self.cells: dict[tuple[str, int], TrialCounts] = {}

    def add(self, compared: TrialAnswer) -> None:
        """Count an answer."""
        cell = (compared.recorded.site, compared.recorded.at - compared.recorded.at % _HOUR_MS)
        self.cells.setdefault(cell, TrialCounts()).add(compared)

    def by_site(self) -> dict[str, TrialCounts]:
        return {site: self._sum(site=site) for site in sorted({site for site, _ in self.cells})}

    def by_hour(self) -> dict[int, TrialCounts]:
        """In order of time, without hours that have no answer."""
        return {hour: self._sum(hour=hour) for hour in sorted({hour for _, hour in self.cells})}

    @property
    def total(self) -> TrialCounts:
        return self._sum()

    def _sum(self, site: str | None = None, hour: int | None = None) -> TrialCounts:
        total = TrialCounts()
        for (at_site, in_hour), cell in self.cells.items():
            if site in (None, at_site) and hour in (None, in_hour):
                total.include(cell)
        return total


def _answer(answered: Answered) -> tuple[str, int]:
    """Return the reason of a refusal and the centimetres granted."""
    reason = answered.command.reason if isinstance(answered.command, Refuse) else ""
    return reason, granted_cm(answered.command)


def _wait_s(answered: Answered) -> int:
    return answered.command.retry_after_s if isinstance(answered.command, Refuse) else 0
