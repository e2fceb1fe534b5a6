"""The journal: where a dispenser's memory outlives its process. A port, and one that outlives nothing.

What is saved is durable before `save` returns: the dispenser saves before its motor moves and before it sends a report.
"""

from itertools import takewhile
from typing import Protocol

from devices.machine.persistent_state import Memory, PendingReport

__all__ = ["InMemoryJournal", "Journal", "changes"]


class Journal(Protocol):
    """Of one dispenser. `now` is always monotonic milliseconds."""

    def load(self, now: int) -> Memory:
        """What was saved last, with moments on the clock of `now`; an empty memory where there is nothing.

        While the machine ran on, moments are exact. After a power cut nobody knows how long it was off: they count from
        the last save, so that an age is never longer than it really is.
        """
        ...

    def save(self, memory: Memory, now: int) -> None:
        """Keep it durably, at a cost that depends on what changed.

        Never raises: a dispenser that cannot remember still gives paper.
        """
        ...

    def close(self) -> None:
        """Let go of it; `load` opens it again."""
        ...


class InMemoryJournal:
    """For simulated fleets and tests: it outlives the dispenser, not the process."""

    def __init__(self) -> None:
        self._memory = Memory()

    def load(self, now: int) -> Memory:  # noqa: ARG002 - one process has one clock
        return self._memory

    def save(self, memory: Memory, now: int) -> None:  # noqa: ARG002 - see above
        self._memory = memory

    def close(self) -> None:
        pass


def changes(before: Memory, after: Memory) -> tuple[list[PendingReport], list[int]]:
    """The reports that came, and the numbers of those that went.

    Numbers only grow and the first reports go first, so this looks at what changed, not at all that is pending.
    """
    came = list(takewhile(lambda pending: pending.report.number > before.last_number, reversed(after.reports)))
    missing = len(before.reports) + len(came) - len(after.reports)
    went: list[int] = []
    left = iter(after.reports)
    still = next(left, None)
    for pending in before.reports:
        if len(went) == missing:
            break
        if still and still.report.number == pending.report.number:
            still = next(left, None)
        else:
            went.append(pending.report.number)
    return came, went
