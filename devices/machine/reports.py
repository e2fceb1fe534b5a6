"""Delivery of reports: numbered, stored until they are acknowledged, sent in order, at least once.

In flight are the first IN_FLIGHT stored reports, so that the end of a long outage does not flood the broker. Without
acknowledgements the interval of the repetitions doubles, up to 300 s.
"""

from msgspec import structs

from devices.machine.actions import SendReport
from devices.machine.persistent_state import PendingReport
from devices.machine.state import FIRST_REPEAT_MS, State, Step
from models.contract.messages import Ack, Report

__all__ = ["IN_FLIGHT", "acknowledge", "repeat_reports", "report", "send_first_reports"]

IN_FLIGHT = 32
"""Limit of reports that are sent and not acknowledged."""
_MAX_REPEAT_MS = 300_000


def report(state: State, reading: Report, now: int) -> Step:
    """Number and store a report, and send it if fewer than IN_FLIGHT reports are in flight."""
    return _send_next(structs.replace(state, memory=state.memory.with_report(reading, now)), now)


def acknowledge(state: State, command: Ack, now: int) -> Step:
    """Delete the acknowledged reports and send as many of the next ones. Numbers that were never sent are ignored."""
    numbers = {number for number in command.numbers if number <= state.sent}
    memory = state.memory.without_reports(numbers, IN_FLIGHT)
    if memory is state.memory:
        return state, ()
    # never later than before: a lost report must not wait for the acknowledgement of all others
    repeat_at = min(state.repeat_at, now + FIRST_REPEAT_MS)
    return _send_next(structs.replace(state, memory=memory, repeat_at=repeat_at, repeat_ms=FIRST_REPEAT_MS), now)


def send_first_reports(state: State, now: int) -> Step:
    """Send the first reports on a new connection, where nothing is in flight."""
    return _send_next(structs.replace(state, sent=0), now)


def repeat_reports(state: State, now: int) -> Step:
    """Repeat the reports in flight, if due; the interval doubles, up to 300 s."""
    in_flight = _in_flight(state)
    if not in_flight or now < state.repeat_at:
        return state, ()
    repeat_ms = min(2 * state.repeat_ms, _MAX_REPEAT_MS)
    again = structs.replace(state, repeat_at=now + repeat_ms, repeat_ms=repeat_ms)
    return again, [_sent(pending, now) for pending in in_flight]


def _send_next(state: State, now: int) -> Step:
    """Send further reports until IN_FLIGHT are in flight."""
    due = [pending for pending in state.memory.reports[:IN_FLIGHT] if pending.report.number > state.sent]
    if not due:
        return state, ()
    if not _in_flight(state):
        state = structs.replace(state, repeat_at=now + FIRST_REPEAT_MS, repeat_ms=FIRST_REPEAT_MS)
    return structs.replace(state, sent=due[-1].report.number), [_sent(pending, now) for pending in due]


def _in_flight(state: State) -> list[PendingReport]:
    return [pending for pending in state.memory.reports[:IN_FLIGHT] if pending.report.number <= state.sent]


def _sent(pending: PendingReport, now: int) -> SendReport:
    return SendReport(structs.replace(pending.report, ago_ms=max(0, now - pending.happened)))
