"""The state of a dispenser: the memory that survives a power cut, and what a power cut deletes."""

from collections.abc import Sequence

from msgspec import Struct

from devices.machine.actions import Action
from devices.machine.persistent_state import Memory
from models.contract.messages import Control, Request

__all__ = ["FIRST_REPEAT_MS", "STATES_PER_CONNECTION", "OpenRequest", "PendingRequest", "State", "Step"]

FIRST_REPEAT_MS = 5_000
"""Time until the first repetition of a report without an acknowledgement."""
STATES_PER_CONNECTION = 1_000_000
"""Sequence numbers per connection; the last one belongs to its last will."""


class PendingRequest(Struct, frozen=True, kw_only=True):
    """A request without an answer; it is repeated at `repeat_at`."""

    request: Request
    asked: int
    repeat_at: int


class OpenRequest(PendingRequest, frozen=True, kw_only=True):
    """The request of the visitor who waits, until the deadline."""

    deadline: int


class State(Struct, frozen=True, kw_only=True):
    """Times and durations are whole milliseconds of a monotonic clock."""

    memory: Memory = Memory()
    connection: int = 0
    """number of the last connection attempt; each attempt has its own number, because the broker may publish the last
    will of an attempt that failed here"""
    is_controlled: bool = False
    """whether a control was received on this connection and its topic still holds one"""
    open: OpenRequest | None = None
    forgets: tuple[PendingRequest, ...] = ()
    sent: int = 0
    """highest number of a report sent on this connection"""
    repeat_at: int = 0
    """time of the next repetition of the reports in flight"""
    repeat_ms: int = FIRST_REPEAT_MS
    """interval of the repetitions"""

    @property
    def control(self) -> Control | None:
        """The control received on this connection; None before one is received."""
        return self.memory.control if self.is_controlled else None

    @property
    def first_sequence(self) -> int:
        """Sequence number of the first state on this connection."""
        return STATES_PER_CONNECTION * (self.connection - 1) + 1

    @property
    def will_sequence(self) -> int:
        """Sequence number of the last will: above all states of this connection, below those of the next one."""
        return STATES_PER_CONNECTION * self.connection

    @property
    def is_free(self) -> bool:
        """Whether a visitor can make a request."""
        return self.open is None and self.memory.run is None

    @property
    def wakes_at(self) -> int | None:
        """Time of the next deadline or repetition; None if nothing is pending."""
        moments = [forget.repeat_at for forget in self.forgets]
        if self.sent and self.memory.reports:
            moments.append(self.repeat_at)
        if self.open:
            moments += [self.open.deadline, self.open.repeat_at]
        return min(moments, default=None)


Step = tuple[State, Sequence[Action]]
"""The next state, and the actions in the order of execution."""
