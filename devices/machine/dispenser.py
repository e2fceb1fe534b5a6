"""The dispenser as a pure state machine: events in, actions out. No clock, no network, no motor, no disk.

`now` is monotonic milliseconds, the dispenser's only clock: one that thinks it is yesterday works like any other.
Whoever carries out the actions saves the memory first, if it changed: then no power cut makes a motor run twice or a
report be lost.
"""

from collections.abc import Sequence
from typing import TypeVar, assert_never

from msgspec import structs

from devices.machine.actions import (
    Action,
    CommandReceived,
    Connected,
    Connecting,
    ControlLost,
    ControlReceived,
    Disconnected,
    Event,
    Measured,
    MotorStopped,
    RequestClosed,
    RequestMade,
    RunMotor,
    SendRequest,
    TimePassed,
)
from devices.machine.connection import on_connection
from devices.machine.persistent_state import Memory, Run
from devices.machine.reports import acknowledge, repeat_reports, report, send_first_reports
from devices.machine.state import OpenRequest, PendingRequest, State, Step
from models.contract.messages import (
    Ack,
    Declined,
    DeclinedBecause,
    Dispense,
    Dispensed,
    Fault,
    ForgetAsked,
    Forgotten,
    LocalRation,
    Refuse,
    StaffPressed,
)

__all__ = ["MAX_FORGETS", "resume", "step"]

_REPEAT_REQUEST_MS = 1_000
"""Some thirty times the p99 of an answer: rarely in vain, and twice within the usual patience of 3 s."""
MAX_FORGETS = 32
"""Templates that wait here to be forgotten. Beyond them the oldest goes: its window ends first."""
_PendingRequest = TypeVar("_PendingRequest", bound=PendingRequest)


def resume(memory: Memory) -> State:
    """A dispenser that starts, with what it remembers; nothing is sent before it is connected.

    A run of the motor that never ended is not made good: nobody stands there any more. Whether its paper came out is
    unknown, and doubt favours the person, so the report says 0 cm and why. The local budget keeps counting it.
    """
    if memory.run:
        told = _ran(memory.run, 0, "power")
        memory = structs.replace(memory, run=None).with_report(told, memory.run.started)
    return State(memory=memory, connection=memory.connections)


def step(state: State, event: Event, now: int) -> Step:
    """What becomes of the state, and what to do."""
    match event:
        case RequestMade():
            return _ask(state, event, now)
        case CommandReceived():
            return _obey(state, event, now)
        case Connecting() | Disconnected() | ControlReceived() | ControlLost():
            return on_connection(state, event)
        case MotorStopped():
            return _motor_stopped(state, event, now)
        case Measured():
            return report(state, event.report, now)
        case Connected():
            return _ask_again(*send_first_reports(state, now), now, everything=True)
        case TimePassed():
            if state.open and now >= state.open.deadline:
                return _serve_by_itself(state, state.open, now)
            return _ask_again(*repeat_reports(state, now), now)
        case _:
            assert_never(event)


def _ask(state: State, event: RequestMade, now: int) -> Step:
    """One request at a time; to be forgotten can be asked at any time, and is asked until the window ends."""
    request = event.request
    if isinstance(request, ForgetAsked):
        forget = PendingRequest(request=request, asked=now, repeat_at=now + _REPEAT_REQUEST_MS)
        forgets = (*state.forgets, forget)
        state = structs.replace(state, forgets=forgets[-MAX_FORGETS:])
        return state, (SendRequest(request, None), *_given_up(forgets[:-MAX_FORGETS], now))
    if not state.is_free:
        return state, ()
    opened = OpenRequest(
        request=request, asked=now, repeat_at=now + _REPEAT_REQUEST_MS, deadline=now + event.patience_ms
    )
    return structs.replace(state, open=opened), (_send(opened, now),)


def _obey(state: State, event: CommandReceived, now: int) -> Step:
    command = event.command
    if event.retained and not isinstance(command, Dispense):
        return state, ()
    match command:
        case Ack():
            return acknowledge(state, command, now)
        case Forgotten():
            return _forgotten(state, command, now)
        case Refuse():
            return _refused(state, command, now)
        case Dispense():
            return _dispense(state, command, now, retained=event.retained)
        case _:
            assert_never(command)


def _forgotten(state: State, command: Forgotten, now: int) -> Step:
    done = [forget for forget in state.forgets if forget.request.id == command.request]
    rest = tuple(forget for forget in state.forgets if forget not in done)
    told = [RequestClosed(command.request, command, now - forget.asked) for forget in done]
    return structs.replace(state, forgets=rest), told


def _refused(state: State, command: Refuse, now: int) -> Step:
    opened = _open(state, command.request)
    if opened is None:
        return state, ()
    if now >= opened.deadline:
        return _serve_by_itself(state, opened, now)
    closed = structs.replace(state, open=None, memory=state.memory.with_closed(command.request))
    return closed, (RequestClosed(command.request, command, now - opened.asked),)


def _dispense(state: State, command: Dispense, now: int, *, retained: bool) -> Step:
    """Run the motor for the open request, and for no other.

    The same command once more says nothing new: its report is on the way, or noted.
    """
    opened, memory = _open(state, command.request), state.memory
    if command.request in memory.obeyed:
        return state, ()
    if retained or opened is None:
        known = command.request in memory.closed
        reason: DeclinedBecause = "retained" if retained else "closed" if known else "unknown"
        return report(state, Declined(number=1, request=command.request, reason=reason), now)
    if now >= opened.deadline:
        return _serve_by_itself(state, opened, now)
    memory = memory.with_command_run(command, now - opened.asked, now)
    return structs.replace(state, open=None, memory=memory), (RunMotor(command.cm),)


def _serve_by_itself(state: State, opened: OpenRequest, now: int) -> Step:
    """Close the request without its answer: nobody stands without paper because a server is down.

    What is given in this way is bounded, since nobody counts together with other dispensers; staff always gets it.
    """
    request, waited_ms = opened.request.id, now - opened.asked
    memory = state.memory.with_closed(request)
    counted = memory if isinstance(opened.request, StaffPressed) else memory.with_ration(now)
    if counted is None:
        told = LocalRation(number=1, request=request, cm=0)
        state, sent = report(structs.replace(state, open=None, memory=memory), told, now)
        return state, (*sent, RequestClosed(request, None, waited_ms))
    memory = counted.with_ration_run(request, waited_ms, now)
    return structs.replace(state, open=None, memory=memory), (RunMotor(memory.ration_cm),)


def _motor_stopped(state: State, event: MotorStopped, now: int) -> Step:
    run = state.memory.run
    if run is None:
        return state, ()
    stopped = structs.replace(state, memory=structs.replace(state.memory, run=None))
    state, sent = report(stopped, _ran(run, event.cm, event.fault), now)
    return state, (*sent, RequestClosed(run.request, run.answer, run.waited_ms, event.cm))


def _ran(run: Run, cm: int, fault: Fault | None) -> Dispensed | LocalRation:
    kind = Dispensed if run.answer else LocalRation
    return kind(number=1, request=run.request, cm=cm, fault=fault)


def _ask_again(state: State, sent: Sequence[Action], now: int, *, everything: bool = False) -> Step:
    """Send again, after what is `sent` already, the requests without an answer; all of them at a new connection."""
    ended = [forget for forget in state.forgets if now >= forget.asked + state.memory.window_ms]
    actions = [*sent, *_given_up(ended, now)]
    waiting = [forget for forget in state.forgets if forget not in ended]
    forgets = tuple(_again(forget, now, actions, everything=everything) for forget in waiting)
    opened = _again(state.open, now, actions, everything=everything) if state.open else None
    return structs.replace(state, forgets=forgets, open=opened), actions


def _given_up(forgets: Sequence[PendingRequest], now: int) -> list[Action]:
    """Their templates are dropped: by the end of the window the pipeline has forgotten them anyway."""
    return [RequestClosed(forget.request.id, None, now - forget.asked) for forget in forgets]


def _again(pending: _PendingRequest, now: int, actions: list[Action], *, everything: bool) -> _PendingRequest:
    if not everything and now < pending.repeat_at:
        return pending
    actions.append(_send(pending, now))
    return structs.replace(pending, repeat_at=now + _REPEAT_REQUEST_MS)


def _send(pending: PendingRequest, now: int) -> SendRequest:
    """Nobody waits for a forget; of any other request MQTT counts what is left in whole seconds, 1 at least."""
    if not isinstance(pending, OpenRequest):
        return SendRequest(pending.request, None)
    return SendRequest(pending.request, max(1, (pending.deadline - now + 500) // 1000))


def _open(state: State, request: str) -> OpenRequest | None:
    return state.open if state.open and state.open.request.id == request else None
