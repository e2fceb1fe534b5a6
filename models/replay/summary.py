"""The output of a replay: a flat row for each answer and report, filters, and counts. Nothing biometric. Pure."""

from collections.abc import Iterator
from typing import Any, assert_never

import msgspec
from msgspec import Struct

from models.contract.messages import Answer, Dispense, Forgotten, Refuse
from models.ledger.events import (
    EpochEnded,
    Event,
    Reported,
    Requested,
    SiteConfigured,
    SiteHeld,
    SiteRemoved,
    SiteResumed,
    Ticked,
)
from models.ledger.outcomes import Answered, ReportKept
from models.replay.replay import Comparison, IdentitySource, Replayed

__all__ = ["Filter", "ReplayRow", "Tally", "rows"]


class ReplayRow(Struct, frozen=True, kw_only=True):
    """A replayed answer or report: the columns of CSV, the fields of JSON."""

    partition: int
    offset: int
    at: int
    """milliseconds since 1970"""
    site: str
    device: str
    request: str = ""
    outcome: str
    """dispense, refuse, forgotten, or the kind of report"""
    reason: str = ""
    cm: int = 0
    retry_after_s: int | None = None
    by: str = ""
    identity: str = ""
    visitor: str = ""
    score: int | None = None
    model: str = ""
    identity_source: str = ""
    """template or record"""
    is_proven: bool
    """whether everything that the decision depends on lies within the recording"""
    comparison: str
    """with the recorded outcome: equal, different, unproven or missing"""


class Filter(Struct, frozen=True, kw_only=True):
    """Which rows to print; an empty tuple selects all. The fold processes every event in any case."""

    sites: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    visitors: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    """words of a row: its outcome, reason, identity or comparison"""

    def matches(self, row: ReplayRow) -> bool:
        words = (row.outcome, row.reason, row.identity, row.comparison)
        return (
            (not self.sites or row.site in self.sites)
            and (not self.devices or row.device in self.devices)
            and (not self.visitors or row.visitor in self.visitors)
            and (not self.outcomes or not set(self.outcomes).isdisjoint(words))
        )


class Tally(Struct, kw_only=True):
    """Counts of what was replayed so far, without the warm-up."""

    events: int = 0
    comparison: dict[str, dict[Comparison, int]] = msgspec.field(default_factory=dict)
    """by kind of event: requests, reports, ticks, settings"""
    answers: dict[str, int] = msgspec.field(default_factory=dict)
    """by outcome and reason"""
    identity_sources: dict[IdentitySource, int] = msgspec.field(default_factory=dict)
    """answers that compared a face, by the source of the identity"""
    unproven: int = 0
    """answers that depend on something that the recording does not hold, equal or not"""
    failures: dict[str, int] = msgspec.field(default_factory=dict)
    """errors of the fold"""

    def add(self, replayed: Replayed) -> None:
        """Count an event."""
        self.events += 1
        kind = _kind(replayed.recorded.event)
        _count(self.comparison.setdefault(kind, {}), replayed.comparison)
        if replayed.failure:
            _count(self.failures, replayed.failure)
        for outcome in replayed.outcomes:
            if isinstance(outcome, Answered):
                _count(self.answers, " ".join(_words(outcome.command)))
                self.unproven += not replayed.is_proven
                if replayed.identity_source:
                    _count(self.identity_sources, replayed.identity_source)


def rows(replayed: Replayed) -> Iterator[ReplayRow]:
    """Return the rows of the answers and report acknowledgements of an event."""
    for outcome in replayed.outcomes:
        match outcome:
            case Answered(command=command):
                word, *reason = _words(command)
                yield _row(
                    replayed,
                    outcome,
                    request=command.request,
                    outcome=word,
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


def _row(replayed: Replayed, published: Answered | ReportKept, **columns: Any) -> ReplayRow:
    return ReplayRow(
        partition=replayed.recorded.partition,
        offset=published.offset,
        at=published.at,
        site=published.site,
        device=published.device,
        identity_source=replayed.identity_source,
        is_proven=replayed.is_proven,
        comparison=replayed.comparison,
        **columns,
    )


def _words(command: Answer) -> tuple[str, ...]:
    """Return the kind of the answer and the reason of a refusal."""
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
        case SiteConfigured() | SiteRemoved() | SiteHeld() | SiteResumed() | EpochEnded():
            return "settings"
        case _:
            assert_never(event)


def _count(counts: dict[Any, int], what: Any) -> None:
    counts[what] = counts.get(what, 0) + 1
