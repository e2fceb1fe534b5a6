"""Reports: numbered, pending until they are noted, sent in order, a few at a time.

In flight are the first of those that are pending. A long outage does not flood the broker when it is over, and while
nobody notes anything the repetitions become rare.
"""

from msgspec import structs

from devices.machine.actions import SendReport
from devices.machine.persistent_state import PendingReport
from devices.machine.state import FIRST_REPEAT_MS, State, Step
from models.contract.messages import Ack, Report

__all__ = ["IN_FLIGHT", "acknowledge", "repeat_reports", "report", "send_first_reports"]

IN_FLIGHT = 32
"""Reports that are sent and not noted."""
_MAX_REPEAT_MS = 300_000


def report(state: State, told: Report, now: int) -> Step:
    """Give it the next number, keep it, and send it if there is room."""
    return _send_next(structs.replace(state, memory=state.memory.with_report(told, now)), now)


def acknowledge(state: State, command: Ack, now: int) -> Step:
    """Drop what is noted, and send as many of the next ones. What was never sent cannot be noted."""
    numbers = {number for number in command.numbers if number <= state.sent}
    memory = state.memory.without_reports(numbers, IN_FLIGHT)
    if memory is state.memory:
        return state, ()
    # the repetition does not move away: one lost report must not wait until all others went
    repeat_at = min(state.repeat_at, now + FIRST_REPEAT_MS)
    return _send_next(structs.replace(state, memory=memory, repeat_at=repeat_at, repeat_ms=FIRST_REPEAT_MS), now)


def send_first_reports(state: State, now: int) -> Step:
    """On a new connection nothing is in flight."""
    return _send_next(structs.replace(state, sent=0), now)


def repeat_reports(state: State, now: int) -> Step:
    """Repeat what is in flight, if it is time; the next time comes after twice the wait, 300 s at most."""
    in_flight = _in_flight(state)
    if not in_flight or now < state.repeat_at:
        return state, ()
    repeat_ms = min(2 * state.repeat_ms, _MAX_REPEAT_MS)
    again = structs.replace(state, repeat_at=now + repeat_ms, repeat_ms=repeat_ms)
    return again, [_sent(pending, now) for pending in in_flight]


def _send_next(state: State, now: int) -> Step:
    """Fill up what is in flight."""
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
