"""State of one connection to the broker: the sequence numbers of its states, and the control received on it.

| event | the connection's control |
|---|---|
| `Connecting`, `Disconnected`, `ControlLost` | none: the camera is blocked |
| `ControlReceived`, revision below the newest one received | unchanged: the older control is ignored |
| `ControlReceived`, any other | this one; it becomes the newest one received |
"""

from typing import assert_never

from msgspec import structs

from devices.machine.actions import Connecting, ControlLost, ControlReceived, Disconnected, StepKey
from devices.machine.state import State, Step
from models.contract.messages import Control

__all__ = ["ConnectionEvent", "on_connection"]

ConnectionEvent = Connecting | Disconnected | ControlReceived | ControlLost


def on_connection(state: State, event: ConnectionEvent) -> Step:
    """Return the next state and the actions."""
    match event:
        case Connecting():
            number = state.connection + 1
            memory = state.memory.with_connection(number)
            return structs.replace(state, connection=number, is_controlled=False, memory=memory), ()
        case Disconnected() | ControlLost():
            return structs.replace(state, is_controlled=False), ()
        case ControlReceived():
            return _follow(state, event.control)
        case _:
            assert_never(event)


def _follow(state: State, control: Control) -> Step:
    if not state.memory.accepts(control):
        return state, ()
    memory = state.memory
    if control != memory.control:
        memory = structs.replace(memory, control=control)
    return structs.replace(state, memory=memory, is_controlled=True), (StepKey(control.epoch),)
