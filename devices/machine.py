"""The dispenser as a pure state machine: events in, actions out. No clock, no network, no motor.

`now` is monotonic seconds, the dispenser's only clock: a dispenser that thinks it is yesterday works like any other.
"""

from collections.abc import Sequence
from typing import assert_never

from msgspec import Struct, structs

from devices.moves import (
    Action,
    Asked,
    Closed,
    Commanded,
    Connected,
    Controlled,
    Event,
    Measured,
    Ran,
    RunMotor,
    SendReport,
    SendRequest,
    TimePassed,
)
from models.messages import (
    Control,
    Declined,
    DeclinedBecause,
    Dispense,
    Dispensed,
    ForgetAsked,
    Forgotten,
    LocalRation,
    Noted,
    Refuse,
    Report,
    Request,
)

__all__ = ["DEFAULT_RATION_CM", "State", "step"]

_REPEAT_REQUEST_S = 1.0
"""Some thirty times the p99 of an answer: rarely in vain, and twice within the usual patience of 3 s."""
_REPEAT_REPORT_S = 5.0
"""Nobody waits for a report to be noted."""
_REMEMBERED = 64
"""Closed requests whose late commands are told apart from unknown ones."""
DEFAULT_RATION_CM = 60
"""What a dispenser gives by itself before its site's first control told it."""


class _Open(Struct, frozen=True):
    """A request without an answer."""

    request: Request
    asked: float
    deadline: float
    repeat_at: float


class _Running(Struct, frozen=True):
    """The motor runs for a request: by command, or as the local ration."""

    request: str
    answer: Dispense | None
    waited_s: float


class _Kept(Struct, frozen=True):
    """A report that is not noted yet."""

    report: Report
    happened: float
    repeat_at: float


class State(Struct, frozen=True, kw_only=True):
    """All that a dispenser knows."""

    control: Control | None = None
    open: _Open | None = None
    running: _Running | None = None
    forgets: tuple[_Open, ...] = ()
    closed: tuple[str, ...] = ()
    """requests that ended without their `dispense`: refused, or served by the local ration"""
    obeyed: tuple[str, ...] = ()
    """requests whose `dispense` ran the motor"""
    reports: tuple[_Kept, ...] = ()
    last_number: int = 0

    @property
    def is_free(self) -> bool:
        """Whether somebody can ask."""
        return self.open is None and self.running is None

    @property
    def ration_cm(self) -> int:
        return self.control.ration_cm if self.control else DEFAULT_RATION_CM

    @property
    def wakes_at(self) -> float:
        """When TimePassed will find something to do; infinity without anything pending."""
        pending = [kept.repeat_at for kept in self.reports] + [forget.repeat_at for forget in self.forgets]
        if self.open:
            pending += [self.open.deadline, self.open.repeat_at]
        return min(pending, default=float("inf"))


Step = tuple[State, Sequence[Action]]


def step(state: State, event: Event, now: float) -> Step:
    """What becomes of the state, and what to do."""
    match event:
        case Asked():
            return _ask(state, event, now)
        case Commanded():
            return _obey(state, event, now)
        case Controlled():
            return structs.replace(state, control=event.control), ()
        case Ran():
            return _motor_stopped(state, event, now)
        case Measured():
            return _report(state, event.report, now)
        case Connected():
            return _repeat(state, now, everything=True)
        case TimePassed():
            if state.open and now >= state.open.deadline:
                return _give_ration(state, state.open, now)
            return _repeat(state, now)
        case _:
            assert_never(event)


def _ask(state: State, event: Asked, now: float) -> Step:
    """One request at a time; to be forgotten can be asked at any time, and has no deadline."""
    request = event.request
    if isinstance(request, ForgetAsked):
        forget = _Open(request, now, float("inf"), now + _REPEAT_REQUEST_S)
        return structs.replace(state, forgets=(*state.forgets, forget)), (SendRequest(request, None),)
    if not state.is_free:
        return state, ()
    opened = _Open(request, now, now + event.patience_s, now + _REPEAT_REQUEST_S)
    return structs.replace(state, open=opened), (_send(opened, now),)


def _obey(state: State, event: Commanded, now: float) -> Step:
    command = event.command
    if event.retained and not isinstance(command, Dispense):
        return state, ()
    match command:
        case Noted():
            kept = tuple(kept for kept in state.reports if kept.report.number not in command.numbers)
            return structs.replace(state, reports=kept), ()
        case Forgotten():
            return _forgotten(state, command, now)
        case Refuse():
            return _refused(state, command, now)
        case Dispense():
            return _dispense(state, command, now, retained=event.retained)
        case _:
            assert_never(command)


def _forgotten(state: State, command: Forgotten, now: float) -> Step:
    done = [forget for forget in state.forgets if forget.request.id == command.request]
    rest = tuple(forget for forget in state.forgets if forget not in done)
    told = [Closed(command.request, command, now - forget.asked) for forget in done]
    return structs.replace(state, forgets=rest), told


def _refused(state: State, command: Refuse, now: float) -> Step:
    opened = _open(state, command.request)
    if opened is None:
        return state, ()
    if now >= opened.deadline:
        return _give_ration(state, opened, now)
    return _close(state, command.request), (Closed(command.request, command, now - opened.asked),)


def _dispense(state: State, command: Dispense, now: float, *, retained: bool) -> Step:
    """Run the motor for the open request, and for no other.

    The same command once more says nothing new: its report is on the way, or noted.
    """
    opened = _open(state, command.request)
    if command.request in state.obeyed:
        return state, ()
    if retained or opened is None:
        known = command.request in state.closed
        reason: DeclinedBecause = "retained" if retained else "closed" if known else "unknown"
        return _report(state, Declined(number=1, request=command.request, reason=reason), now)
    if now >= opened.deadline:
        return _give_ration(state, opened, now)
    obeyed = (*state.obeyed, command.request)[-_REMEMBERED:]
    running = _Running(command.request, command, now - opened.asked)
    return structs.replace(state, open=None, obeyed=obeyed, running=running), (RunMotor(command.cm),)


def _give_ration(state: State, opened: _Open, now: float) -> Step:
    """Close the request without its answer: nobody stands without paper because a server is down."""
    running = _Running(opened.request.id, None, now - opened.asked)
    return structs.replace(_close(state, opened.request.id), running=running), (RunMotor(state.ration_cm),)


def _motor_stopped(state: State, event: Ran, now: float) -> Step:
    if state.running is None:
        return state, ()
    request, answer, waited_s = structs.astuple(state.running)
    kind = Dispensed if answer else LocalRation
    report = kind(number=1, request=request, cm=event.cm, fault=event.fault)
    state, sent = _report(structs.replace(state, running=None), report, now)
    return state, (*sent, Closed(request, answer, waited_s, event.cm))


def _report(state: State, report: Report, now: float) -> Step:
    """Give the report the next number, keep it until it is noted, and send it."""
    number = state.last_number + 1
    numbered = structs.replace(report, number=number)
    kept = _Kept(numbered, now, now + _REPEAT_REPORT_S)
    return structs.replace(state, reports=(*state.reports, kept), last_number=number), (SendReport(numbered),)


def _repeat(state: State, now: float, *, everything: bool = False) -> Step:
    """Send again what is still without an answer; `everything` at a new connection."""
    due = [kept for kept in state.reports if everything or now >= kept.repeat_at]
    actions: list[Action] = [SendReport(structs.replace(k.report, ago_s=round(now - k.happened, 3))) for k in due]
    reports = tuple(structs.replace(k, repeat_at=now + _REPEAT_REPORT_S) if k in due else k for k in state.reports)
    forgets = tuple(_again(forget, now, actions, everything=everything) for forget in state.forgets)
    opened = _again(state.open, now, actions, everything=everything) if state.open else None
    return structs.replace(state, reports=reports, forgets=forgets, open=opened), actions


def _again(opened: _Open, now: float, actions: list[Action], *, everything: bool) -> _Open:
    if not everything and now < opened.repeat_at:
        return opened
    actions.append(_send(opened, now))
    return structs.replace(opened, repeat_at=now + _REPEAT_REQUEST_S)


def _send(opened: _Open, now: float) -> SendRequest:
    left = opened.deadline - now
    return SendRequest(opened.request, None if left == float("inf") else max(1, round(left)))


def _open(state: State, request: str) -> _Open | None:
    return state.open if state.open and state.open.request.id == request else None


def _close(state: State, request: str) -> State:
    return structs.replace(state, open=None, closed=(*state.closed, request)[-_REMEMBERED:])
