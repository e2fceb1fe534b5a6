"""What a dispenser remembers when the power is cut.

It is all here, and nothing else survives. A request that is open does not: whoever stood there has left, and the cut
closed it. To be forgotten does not either: such a request carries a template, and no template is ever written to a
dispenser's disk; the person is forgotten at the end of the window anyway.

Moments and durations are whole milliseconds of a monotonic clock, the dispenser's only one: sums and comparisons with
a limit are exact, whatever the moment.
"""

from collections.abc import Collection
from typing import NamedTuple

from msgspec import Struct, structs

from models.contract.messages import Control, Dispense, Report
from models.ledger.policy import Policy

__all__ = ["MAX_REPORTS", "Memory", "PendingReport", "Ration", "Run"]

MAX_REPORTS = 20_000
"""Reports that wait to be noted: days without a network. Beyond them the oldest go, a gap in the numbers."""
_CONNECTIONS_PER_SAVE = 64
"""Connections that are numbered by one save: a dispenser without a network tries one every five seconds."""
_MAX_REQUEST_IDS = 64
"""Requests whose late commands are told apart from unknown ones."""
_DEFAULT_POLICY = Policy()
"""What a dispenser goes by before its site's first control told it."""


class PendingReport(Struct, frozen=True):
    """A report that is not noted yet."""

    report: Report
    happened: int
    """when it happened"""


class Ration(NamedTuple):
    """Given by the dispenser itself, staff apart: counted as the motor was told, whatever came out."""

    given: int
    cm: int


class Run(Struct, frozen=True):
    """The motor runs for a request: by command, or (`answer` None) as the local ration."""

    request: str
    answer: Dispense | None
    waited_ms: int
    started: int


class Memory(Struct, frozen=True, kw_only=True):
    """A step that changes nothing of it gives the same object: only another one has to be saved."""

    control: Control | None = None
    """the one with the highest revision that was received"""
    connections: int = 0
    """the highest number that a connection may have had"""
    run: Run | None = None
    closed: tuple[str, ...] = ()
    """requests that ended without their `dispense`: refused, or served by the local ration; the last 64"""
    obeyed: tuple[str, ...] = ()
    """requests whose `dispense` ran the motor; the last 64"""
    rations: tuple[Ration, ...] = ()
    """those of the window: with the default policy 100 at most"""
    reports: tuple[PendingReport, ...] = ()
    """not noted, in the order of their numbers"""
    last_number: int = 0

    @property
    def ration_cm(self) -> int:
        return self.control.ration_cm if self.control else _DEFAULT_POLICY.portion_cm

    @property
    def ration_budget_cm(self) -> int:
        return self.control.ration_budget_cm if self.control else _DEFAULT_POLICY.ration_budget_cm

    @property
    def window_ms(self) -> int:
        return 1000 * (self.control.window_s if self.control else _DEFAULT_POLICY.window_s)

    def accepts(self, control: Control) -> bool:
        """Whether a control is no older than the newest one that was received, on any connection."""
        return self.control is None or control.revision >= self.control.revision

    def with_connection(self, number: int) -> "Memory":
        """A connection with this number is about to be opened."""
        if number <= self.connections:
            return self
        return structs.replace(self, connections=number + _CONNECTIONS_PER_SAVE - 1)

    def with_command_run(self, command: Dispense, waited_ms: int, now: int) -> "Memory":
        """The motor is to run for a command."""
        obeyed = (*self.obeyed, command.request)[-_MAX_REQUEST_IDS:]
        return structs.replace(self, obeyed=obeyed, run=Run(command.request, command, waited_ms, now))

    def with_closed(self, request: str) -> "Memory":
        """A request ends without its `dispense`."""
        return structs.replace(self, closed=(*self.closed, request)[-_MAX_REQUEST_IDS:])

    def with_ration_run(self, request: str, waited_ms: int, now: int) -> "Memory":
        """The motor is to run for the local ration."""
        return structs.replace(self, run=Run(request, None, waited_ms, now))

    def with_ration(self, now: int) -> "Memory | None":
        """The local ration counted; None where it does not fit into the budget of the trailing window."""
        live = tuple(ration for ration in self.rations if ration.given > now - self.window_ms)
        if sum(ration.cm for ration in live) + self.ration_cm > self.ration_budget_cm:
            return None
        return structs.replace(self, rations=(*live, Ration(now, self.ration_cm)))

    def with_report(self, report: Report, happened: int) -> "Memory":
        """Give the report the next number and keep it."""
        number = self.last_number + 1
        pending = PendingReport(structs.replace(report, number=number), happened)
        return structs.replace(self, reports=(*self.reports, pending)[-MAX_REPORTS:], last_number=number)

    def without_reports(self, numbers: Collection[int], among: int) -> "Memory":
        """Drop those of the first `among` reports that are noted."""
        first = self.reports[:among]
        left = tuple(pending for pending in first if pending.report.number not in numbers)
        return self if left == first else structs.replace(self, reports=left + self.reports[among:])

    def shifted(self, by: int) -> "Memory":
        """The same on a clock that shows `by` milliseconds more."""
        return structs.replace(
            self,
            run=structs.replace(self.run, started=self.run.started + by) if self.run else None,
            rations=tuple(Ration(ration.given + by, ration.cm) for ration in self.rations),
            reports=tuple(structs.replace(pending, happened=pending.happened + by) for pending in self.reports),
        )
