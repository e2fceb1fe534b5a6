"""What holds for one connection to the broker: the numbers of its states, and the control that was received on it.

| event | the connection's control |
|---|---|
| `Connecting`, `Disconnected`, `ControlLost` | none: no camera may look |
| `ControlReceived`, its revision below the newest one known | as before: the older control is ignored |
| `ControlReceived`, any other | this one, and from now on the newest one known |
"""

from typing import assert_never

from msgspec import structs

from devices.machine.actions import Connecting, ControlLost, ControlReceived, Disconnected, StepKey
from devices.machine.state import State, Step
from models.contract.messages import Control

__all__ = ["ConnectionEvent", "on_connection"]

ConnectionEvent = Connecting | Disconnected | ControlReceived | ControlLost


def on_connection(state: State, event: ConnectionEvent) -> Step:
    """What becomes of the state, and what to do."""
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
