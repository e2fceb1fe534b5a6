"""All that a dispenser knows: what it remembers across power cuts, and what it forgets with them."""

from collections.abc import Sequence

from msgspec import Struct

from devices.machine.actions import Action
from devices.machine.persistent_state import Memory
from models.contract.messages import Control, Request

__all__ = ["FIRST_REPEAT_MS", "STATES_PER_CONNECTION", "OpenRequest", "PendingRequest", "State", "Step"]

FIRST_REPEAT_MS = 5_000
"""Until a report is repeated that is not noted; nobody waits for that."""
STATES_PER_CONNECTION = 1_000_000
"""Sequence numbers that the states of one connection share; the last one is its will's."""


class PendingRequest(Struct, frozen=True, kw_only=True):
    """A request without an answer, which is sent again at `repeat_at`."""

    request: Request
    asked: int
    repeat_at: int


class OpenRequest(PendingRequest, frozen=True, kw_only=True):
    """The request of the person who stands here, until the deadline."""

    deadline: int


class State(Struct, frozen=True, kw_only=True):
    """Moments and durations are whole milliseconds of a monotonic clock."""

    memory: Memory = Memory()
    connection: int = 0
    """the number of the connection that was tried last; every attempt has a number of its own, for the broker may have
    kept the will of one that failed here"""
    is_controlled: bool = False
    """a control was received on this connection, and its topic still holds one"""
    open: OpenRequest | None = None
    forgets: tuple[PendingRequest, ...] = ()
    sent: int = 0
    """the highest number of a report sent on this connection"""
    repeat_at: int = 0
    """when the reports in flight are repeated, if there are any"""
    repeat_ms: int = FIRST_REPEAT_MS
    """how long they then wait for the next time"""

    @property
    def control(self) -> Control | None:
        """How the site works, as this connection says; None before a control was received on it."""
        return self.memory.control if self.is_controlled else None

    @property
    def first_sequence(self) -> int:
        """The sequence number of the first state on this connection."""
        return STATES_PER_CONNECTION * (self.connection - 1) + 1

    @property
    def will_sequence(self) -> int:
        """The sequence number of this connection's will: above all its states, below those of the next connection."""
        return STATES_PER_CONNECTION * self.connection

    @property
    def is_free(self) -> bool:
        """Whether somebody can ask."""
        return self.open is None and self.memory.run is None

    @property
    def wakes_at(self) -> int | None:
        """When TimePassed will find something to do; None without anything pending."""
        moments = [forget.repeat_at for forget in self.forgets]
        if self.sent and self.memory.reports:
            moments.append(self.repeat_at)
        if self.open:
            moments += [self.open.deadline, self.open.repeat_at]
        return min(moments, default=None)


Step = tuple[State, Sequence[Action]]
"""What became of the state, and what to do."""
