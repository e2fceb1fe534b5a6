"""The state of a dispenser that survives a power cut.

An open request is not part of it: the visitor has left, and the power cut closes the request. A request to be forgotten
is not part of it either: it carries a template, and no template is written to a dispenser's disk; the template expires
at the end of the window anyway.

Times and durations are whole milliseconds of the monotonic clock: sums and comparisons with a limit are exact.
"""

from collections.abc import Collection
from typing import NamedTuple

from msgspec import Struct, structs

from models.contract.messages import Control, Dispense, Report
from models.ledger.rules.policy import Policy

__all__ = ["MAX_REPORTS", "Memory", "PendingReport", "Ration", "Run"]

MAX_REPORTS = 20_000
"""Reports without an acknowledgement: days without a network. Then the oldest are deleted, a gap in the numbers."""
_CONNECTIONS_PER_SAVE = 64
"""Connection numbers reserved by one save: without a network there is an attempt every five seconds."""
_MAX_REQUEST_IDS = 64
"""Request ids that are stored, to tell a late command from one for an unknown request."""
_DEFAULT_POLICY = Policy()
"""The policy before the first control of the site."""


class PendingReport(Struct, frozen=True):
    """A report without an acknowledgement."""

    report: Report
    happened: int
    """time of the reported event"""


class Ration(NamedTuple):
    """A local ration, staff excluded: `cm` is the length commanded, not what came out."""

    given: int
    cm: int


class Run(Struct, frozen=True):
    """A run of the motor for a request: by command, or (`answer` None) as the local ration."""

    request: str
    answer: Dispense | None
    waited_ms: int
    started: int


class Memory(Struct, frozen=True, kw_only=True):
    """The persistent state. A step without a change returns the same object, so that it needs no save."""

    control: Control | None = None
    """the received control with the highest revision"""
    connections: int = 0
    """upper bound of the connection numbers used"""
    run: Run | None = None
    closed: tuple[str, ...] = ()
    """ids of requests that closed without a `dispense`: refused, or answered by the local ration; the last 64"""
    obeyed: tuple[str, ...] = ()
    """ids of requests whose `dispense` ran the motor; the last 64"""
    rations: tuple[Ration, ...] = ()
    """rations of the window; at most 100 with the default policy"""
    reports: tuple[PendingReport, ...] = ()
    """reports without an acknowledgement, in the order of their numbers"""
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
        """Whether a control is not older than the newest one received on any connection."""
        return self.control is None or control.revision >= self.control.revision

    def with_connection(self, number: int) -> "Memory":
        """Reserve the number of a connection that is about to be opened."""
        if number <= self.connections:
            return self
        return structs.replace(self, connections=number + _CONNECTIONS_PER_SAVE - 1)

    def with_command_run(self, command: Dispense, waited_ms: int, now: int) -> "Memory":
        """Record the run of the motor for a command."""
        obeyed = (*self.obeyed, command.request)[-_MAX_REQUEST_IDS:]
        return structs.replace(self, obeyed=obeyed, run=Run(command.request, command, waited_ms, now))

    def with_closed(self, request: str) -> "Memory":
        """Record a request that closes without a `dispense`."""
        return structs.replace(self, closed=(*self.closed, request)[-_MAX_REQUEST_IDS:])

    def with_ration_run(self, request: str, waited_ms: int, now: int) -> "Memory":
        """Record the run of the motor for the local ration."""
        return structs.replace(self, run=Run(request, None, waited_ms, now))

    def with_ration(self, now: int) -> "Memory | None":
        """Count a local ration; None if it exceeds the budget of the trailing window."""
        live = tuple(ration for ration in self.rations if ration.given > now - self.window_ms)
        if sum(ration.cm for ration in live) + self.ration_cm > self.ration_budget_cm:
            return None
        return structs.replace(self, rations=(*live, Ration(now, self.ration_cm)))

    def with_report(self, report: Report, happened: int) -> "Memory":
        """Assign the next number to the report and store it."""
        number = self.last_number + 1
        pending = PendingReport(structs.replace(report, number=number), happened)
        return structs.replace(self, reports=(*self.reports, pending)[-MAX_REPORTS:], last_number=number)

    def without_reports(self, numbers: Collection[int], among: int) -> "Memory":
        """Delete the reports with these numbers from the first `among` reports."""
        first = self.reports[:among]
        left = tuple(pending for pending in first if pending.report.number not in numbers)
        return self if left == first else structs.replace(self, reports=left + self.reports[among:])

    def shifted(self, by: int) -> "Memory":
        """Return the same memory on a clock that is `by` milliseconds ahead."""
        return structs.replace(
            self,
            run=structs.replace(self.run, started=self.run.started + by) if self.run else None,
            rations=tuple(Ration(ration.given + by, ration.cm) for ration in self.rations),
            reports=tuple(structs.replace(pending, happened=pending.happened + by) for pending in self.reports),
        )
