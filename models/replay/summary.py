"""What a replay tells of itself: a flat row for each answer and report, filters over them, and counts. No biometric."""

from collections.abc import Iterator
from typing import Any, assert_never

import msgspec
from msgspec import Struct

from models.contract.messages import Answer, Dispense, Forgotten, Refuse
from models.ledger.events import EpochEnded, Event, Reported, Requested, SiteConfigured, SiteHeld, SiteResumed, Ticked
from models.ledger.outcomes import Answered, ReportKept
from models.replay.replay import Known, Likeness, Replayed

__all__ = ["Filter", "Row", "Tally", "rows"]


class Row(Struct, frozen=True, kw_only=True):
    """One answer or report, replayed: the columns of CSV, the fields of JSON."""

    partition: int
    offset: int
    at: int
    """milliseconds since 1970"""
    site: str
    device: str
    request: str = ""
    outcome: str
    """dispense, refuse, forgotten, or what a report was of"""
    reason: str = ""
    cm: int = 0
    retry_after_s: int | None = None
    by: str = ""
    identity: str = ""
    visitor: str = ""
    score: int | None = None
    model: str = ""
    known: str = ""
    """what told who it was: template or record"""
    is_proven: bool
    """whether all that counts for it lies within the recording"""
    likeness: str
    """to what was said then: equal, different, unproven or unsaid"""


class Filter(Struct, frozen=True, kw_only=True):
    """Which rows to tell; an empty tuple lets all pass. The fold sees everything in any case."""

    sites: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    visitors: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    """words of a row: its outcome, reason, identity or likeness"""

    def lets_pass(self, row: Row) -> bool:
        words = (row.outcome, row.reason, row.identity, row.likeness)
        return (
            (not self.sites or row.site in self.sites)
            and (not self.devices or row.device in self.devices)
            and (not self.visitors or row.visitor in self.visitors)
            and (not self.outcomes or not set(self.outcomes).isdisjoint(words))
        )


class Tally(Struct, kw_only=True):
    """What was replayed so far, the warm-up apart."""

    events: int = 0
    likeness: dict[str, dict[Likeness, int]] = msgspec.field(default_factory=dict)
    """of requests, reports, ticks and settings"""
    answers: dict[str, int] = msgspec.field(default_factory=dict)
    """by outcome and reason"""
    known: dict[Known, int] = msgspec.field(default_factory=dict)
    """answers by what told who it was; those that looked at nobody apart"""
    unproven: int = 0
    """answers that depend on what the recording does not hold, whether they are equal or not"""
    failures: dict[str, int] = msgspec.field(default_factory=dict)
    """what the fold failed on"""

    def add(self, replayed: Replayed) -> None:
        """Count a happening."""
        self.events += 1
        kind = _kind(replayed.happening.event)
        _count(self.likeness.setdefault(kind, {}), replayed.likeness)
        if replayed.failure:
            _count(self.failures, replayed.failure)
        for outcome in replayed.outcomes:
            if isinstance(outcome, Answered):
                _count(self.answers, " ".join(_said(outcome.command)))
                self.unproven += not replayed.is_proven
                if replayed.known:
                    _count(self.known, replayed.known)


def rows(replayed: Replayed) -> Iterator[Row]:
    """What dispensers heard."""
    for outcome in replayed.outcomes:
        match outcome:
            case Answered(command=command):
                said, *reason = _said(command)
                yield _row(
                    replayed,
                    outcome,
                    request=command.request,
                    outcome=said,
                    reason=" ".join(reason),
                    cm=command.cm if isinstance(command, Dispense) else 0,
                    retry_after_s=command.retry_after_s if isinstance(command, Refuse) else None,
                    by=outcome.by,
                    identity=outcome.identity or "",
                    visitor=outcome.visitor or "",
                    score=outcome.score,
                    model=outcome.model or "",
                )
            case ReportKept():
                why = outcome.fault or outcome.reason or ""
                yield _row(replayed, outcome, outcome=outcome.what, reason=why, cm=outcome.cm)
            case _:
                pass


def _row(replayed: Replayed, heard: Answered | ReportKept, **columns: Any) -> Row:
    return Row(
        partition=replayed.happening.partition,
        offset=heard.offset,
        at=heard.at,
        site=heard.site,
        device=heard.device,
        known=replayed.known,
        is_proven=replayed.is_proven,
        likeness=replayed.likeness,
        **columns,
    )


def _said(command: Answer) -> tuple[str, ...]:
    """An answer in words: what, and why not."""
    match command:
        case Dispense():
            return ("dispense",)
        case Refuse(reason=reason):
            return ("refuse", reason)
        case Forgotten():
            return ("forgotten",)
        case _:
            assert_never(command)


def _kind(event: Event) -> str:
    match event:
        case Requested():
            return "requests"
        case Reported():
            return "reports"
        case Ticked():
            return "ticks"
        case SiteConfigured() | SiteHeld() | SiteResumed() | EpochEnded():
            return "settings"
        case _:
            assert_never(event)


def _count(counts: dict[Any, int], what: Any) -> None:
    counts[what] = counts.get(what, 0) + 1
