"""All that a dispenser knows: what it remembers across power cuts, and what it forgets with them."""

from collections.abc import Sequence

from msgspec import Struct

from devices.machine.actions import Action
from devices.machine.persistent_state import Memory
from models.contract.messages import Request

__all__ = ["FIRST_REPEAT_MS", "Open", "Pending", "State", "Step"]

FIRST_REPEAT_MS = 5_000
"""Until a report is repeated that is not noted; nobody waits for that."""


class Pending(Struct, frozen=True, kw_only=True):
    """A request without an answer, which is sent again at `repeat_at`."""

    request: Request
    asked: int
    repeat_at: int


class Open(Pending, frozen=True, kw_only=True):
    """The request of the person who stands here, until the deadline."""

    deadline: int


class State(Struct, frozen=True, kw_only=True):
    """Moments and durations are whole milliseconds of a monotonic clock."""

    memory: Memory = Memory()
    open: Open | None = None
    forgets: tuple[Pending, ...] = ()
    sent: int = 0
    """the highest number of a report sent on this connection"""
    repeat_at: int = 0
    """when the reports in flight are repeated, if there are any"""
    repeat_ms: int = FIRST_REPEAT_MS
    """how long they then wait for the next time"""

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
