"""All that a dispenser knows: what it remembers across power cuts, and what it forgets with them."""

from collections.abc import Sequence

from msgspec import Struct

from devices.machine.actions import Action
from devices.machine.persistent_state import Memory
from models.contract.messages import Request

__all__ = ["FIRST_REPEAT_S", "Open", "State", "Step"]

FIRST_REPEAT_S = 5.0
"""Until a report is repeated that is not noted; nobody waits for that."""


class Open(Struct, frozen=True):
    """A request without an answer."""

    request: Request
    asked: float
    deadline: float
    repeat_at: float


class State(Struct, frozen=True, kw_only=True):
    """Moments are monotonic seconds."""

    memory: Memory = Memory()
    open: Open | None = None
    forgets: tuple[Open, ...] = ()
    sent: int = 0
    """the highest number of a report sent on this connection"""
    repeat_at: float = float("inf")
    """when the reports in flight are repeated, if there are any"""
    repeat_s: float = FIRST_REPEAT_S
    """how long they then wait for the next time"""

    @property
    def is_free(self) -> bool:
        """Whether somebody can ask."""
        return self.open is None and self.memory.run is None

    @property
    def wakes_at(self) -> float:
        """When TimePassed will find something to do; infinity without anything pending."""
        pending = [forget.repeat_at for forget in self.forgets]
        if self.memory.reports:
            pending.append(self.repeat_at)
        if self.open:
            pending += [self.open.deadline, self.open.repeat_at]
        return min(pending, default=float("inf"))


Step = tuple[State, Sequence[Action]]
"""What became of the state, and what to do."""
