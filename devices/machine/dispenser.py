"""The dispenser as a pure state machine: events in, actions out. No clock, no network, no motor, no disk.

`now` is in milliseconds of a monotonic clock, the only clock of the dispenser: a wrong wall clock has no effect. The
caller of `step` saves the memory, if it changed, before it executes the actions: then no power cut makes the motor run
twice for a request, and no report is lost.

The state of the motor and of the visitor's request:

- idle: `state.is_free`; a visitor can make a request.
- open: `state.open` is the request that waits for its answer, until its deadline.
- running: `state.memory.run` is the request that the motor runs for.

| state | event | next state | actions |
|---|---|---|---|
| idle | `RequestMade` | open | `SendRequest` |
| open, running | `RequestMade` | unchanged | none: the press is dropped |
| open | `Dispense` of the open request, before the deadline | running | `RunMotor` |
| open | `Refuse` of the open request, before the deadline | idle | `RequestClosed` with the refusal |
| open | `TimePassed`, `Dispense`, `Refuse` from the deadline on: staff, or ration budget left | running | `RunMotor` |
| open | the same without ration budget | idle | `SendReport(LocalRation)` of 0 cm, `RequestClosed` |
| open | `Connected`, or `TimePassed` at `repeat_at` | open | `SendRequest` |
| running | `MotorStopped` | idle | `SendReport(Dispensed or LocalRation)`, `RequestClosed` |
| idle, open | `MotorStopped` | unchanged | none |
| any | `Dispense` of a request that the motor ran for by command | unchanged | none |
| any | `Dispense`, retained, or of a request that is not open | unchanged | `SendReport(Declined)` |
| idle, running | `Refuse` | unchanged | none |
| any | a retained command other than `Dispense` | unchanged | none |

Requests to be forgotten and reports do not depend on that state:

| event | actions |
|---|---|
| `RequestMade(ForgetRequested)` | `SendRequest`; beyond `MAX_FORGETS`, the oldest closes without an answer |
| `Forgotten` | `RequestClosed` with the receipt, if the request is pending |
| `Ack` | `SendReport` for the next reports |
| `Measured` | `SendReport` |
| `Connected` | `SendReport` for the first `IN_FLIGHT` reports, `SendRequest` for each pending request |
| `TimePassed` | what is due: `SendReport`, `SendRequest`, `RequestClosed` at the end of the window |
| `Connecting`, `Disconnected`, `ControlReceived`, `ControlLost` | see `devices.machine.connection` |

At most `IN_FLIGHT` reports are sent and not acknowledged; a further report is stored and sent later. A `TimePassed`
that closes the open request repeats nothing; the next one does. A power cut (`resume`) ends every state in idle: an
open request is closed without an action, and a run is reported with 0 cm and the fault `power`.
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
    ForgetRequested,
    Forgotten,
    LocalRation,
    Refuse,
    StaffPressed,
)

__all__ = ["MAX_FORGETS", "resume", "step"]

_REPEAT_REQUEST_MS = 1_000
"""About thirty times the p99 of an answer: rarely reached, and two repetitions fit into the usual patience of 3 s."""
MAX_FORGETS = 32
"""Pending requests to be forgotten, each with a template. Beyond it the oldest is closed: its window ends first."""
_PendingRequest = TypeVar("_PendingRequest", bound=PendingRequest)


def resume(memory: Memory) -> State:
    """Return the state of a dispenser that starts with this memory; nothing is sent before `Connected`.

    A run that a power cut ended is not repeated: the visitor has left. The length that came out is unknown; the report
    states 0 cm and the fault `power`, in favour of the visitor. The ration budget still counts the run.
    """
    if memory.run:
        ended = _run_report(memory.run, 0, "power")
        memory = structs.replace(memory, run=None).with_report(ended, memory.run.started)
    return State(memory=memory, connection=memory.connections)


def step(state: State, event: Event, now: int) -> Step:
    """Return the next state and the actions, in the order of execution."""
    match event:
        case RequestMade():
            return _open_request(state, event, now)
        case CommandReceived():
            return _on_command(state, event, now)
        case Connecting() | Disconnected() | ControlReceived() | ControlLost():
            return on_connection(state, event)
        case MotorStopped():
            return _on_motor_stopped(state, event, now)
        case Measured():
            return report(state, event.report, now)
        case Connected():
            return _repeat_requests(*send_first_reports(state, now), now, everything=True)
        case TimePassed():
            if state.open and now >= state.open.deadline:
                return _dispense_ration(state, state.open, now)
            return _repeat_requests(*repeat_reports(state, now), now)
        case _:
            assert_never(event)


def _open_request(state: State, event: RequestMade, now: int) -> Step:
    """Open a request if the dispenser is idle; a request to be forgotten is accepted in every state."""
    request = event.request
    if isinstance(request, ForgetRequested):
        forget = PendingRequest(request=request, asked=now, repeat_at=now + _REPEAT_REQUEST_MS)
        forgets = (*state.forgets, forget)
        state = structs.replace(state, forgets=forgets[-MAX_FORGETS:])
        return state, (SendRequest(request, None), *_closed_without_receipt(forgets[:-MAX_FORGETS], now))
    if not state.is_free:
        return state, ()
    opened = OpenRequest(
        request=request, asked=now, repeat_at=now + _REPEAT_REQUEST_MS, deadline=now + event.patience_ms
    )
    return structs.replace(state, open=opened), (_send(opened, now),)


def _on_command(state: State, event: CommandReceived, now: int) -> Step:
    command = event.command
    if event.retained and not isinstance(command, Dispense):
        return state, ()
    match command:
        case Ack():
            return acknowledge(state, command, now)
        case Forgotten():
            return _on_forgotten(state, command, now)
        case Refuse():
            return _on_refuse(state, command, now)
        case Dispense():
            return _on_dispense(state, command, now, retained=event.retained)
        case _:
            assert_never(command)


def _on_forgotten(state: State, command: Forgotten, now: int) -> Step:
    done = [forget for forget in state.forgets if forget.request.id == command.request]
    rest = tuple(forget for forget in state.forgets if forget not in done)
    closed = [RequestClosed(command.request, command, now - forget.asked) for forget in done]
    return structs.replace(state, forgets=rest), closed


def _on_refuse(state: State, command: Refuse, now: int) -> Step:
    opened = _find_open(state, command.request)
    if opened is None:
        return state, ()
    if now >= opened.deadline:
        return _dispense_ration(state, opened, now)
    closed = structs.replace(state, open=None, memory=state.memory.with_closed(command.request))
    return closed, (RequestClosed(command.request, command, now - opened.asked),)


def _on_dispense(state: State, command: Dispense, now: int, *, retained: bool) -> Step:
    """Run the motor for the open request; decline a command for any other one.

    A redelivered command has no effect: its report is pending or acknowledged.
    """
    opened, memory = _find_open(state, command.request), state.memory
    if command.request in memory.obeyed:
        return state, ()
    if retained or opened is None:
        known = command.request in memory.closed
        reason: DeclinedBecause = "retained" if retained else "closed" if known else "unknown"
        return report(state, Declined(number=1, request=command.request, reason=reason), now)
    if now >= opened.deadline:
        return _dispense_ration(state, opened, now)
    memory = memory.with_command_run(command, now - opened.asked, now)
    return structs.replace(state, open=None, memory=memory), (RunMotor(command.cm),)


def _dispense_ration(state: State, opened: OpenRequest, now: int) -> Step:
    """Close the request without an answer and dispense the local ration, so that an outage stops no paper.

    The ration budget of the window bounds this, because no other service counts these rations; it does not apply to
    staff.
    """
    request, waited_ms = opened.request.id, now - opened.asked
    memory = state.memory.with_closed(request)
    counted = memory if isinstance(opened.request, StaffPressed) else memory.with_ration(now)
    if counted is None:
        empty = LocalRation(number=1, request=request, cm=0)
        state, sent = report(structs.replace(state, open=None, memory=memory), empty, now)
        return state, (*sent, RequestClosed(request, None, waited_ms))
    memory = counted.with_ration_run(request, waited_ms, now)
    return structs.replace(state, open=None, memory=memory), (RunMotor(memory.ration_cm),)


def _on_motor_stopped(state: State, event: MotorStopped, now: int) -> Step:
    run = state.memory.run
    if run is None:
        return state, ()
    stopped = structs.replace(state, memory=structs.replace(state.memory, run=None))
    state, sent = report(stopped, _run_report(run, event.cm, event.fault), now)
    return state, (*sent, RequestClosed(run.request, run.answer, run.waited_ms, event.cm))


def _run_report(run: Run, cm: int, fault: Fault | None) -> Dispensed | LocalRation:
    kind = Dispensed if run.answer else LocalRation
    return kind(number=1, request=run.request, cm=cm, fault=fault)


def _repeat_requests(state: State, sent: Sequence[Action], now: int, *, everything: bool = False) -> Step:
    """Repeat the pending requests that are due, after the actions in `sent`; all of them with `everything`."""
    ended = [forget for forget in state.forgets if now >= forget.asked + state.memory.window_ms]
    actions = [*sent, *_closed_without_receipt(ended, now)]
    waiting = [forget for forget in state.forgets if forget not in ended]
    forgets = tuple(_repeat_if_due(forget, now, actions, everything=everything) for forget in waiting)
    opened = _repeat_if_due(state.open, now, actions, everything=everything) if state.open else None
    return structs.replace(state, forgets=forgets, open=opened), actions


def _closed_without_receipt(forgets: Sequence[PendingRequest], now: int) -> list[Action]:
    """Close requests to be forgotten without a receipt: the pipeline expires the template at the end of the window."""
    return [RequestClosed(forget.request.id, None, now - forget.asked) for forget in forgets]


def _repeat_if_due(pending: _PendingRequest, now: int, actions: list[Action], *, everything: bool) -> _PendingRequest:
    if not everything and now < pending.repeat_at:
        return pending
    actions.append(_send(pending, now))
    return structs.replace(pending, repeat_at=now + _REPEAT_REQUEST_MS)


def _send(pending: PendingRequest, now: int) -> SendRequest:
    """Return the publication, with the rest of the patience in whole seconds, at least 1; a forget has no expiry."""
    if not isinstance(pending, OpenRequest):
        return SendRequest(pending.request, None)
    return SendRequest(pending.request, max(1, (pending.deadline - now + 500) // 1000))


def _find_open(state: State, request: str) -> OpenRequest | None:
    return state.open if state.open and state.open.request.id == request else None
