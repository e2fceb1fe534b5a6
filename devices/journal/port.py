"""The journal: durable storage of a dispenser's memory. A port, and a journal in memory.

A save is durable before `save` returns: the dispenser saves before its motor moves and before it sends a report.
"""

from itertools import takewhile
from typing import Protocol

from devices.machine.persistent_state import Memory, PendingReport

__all__ = ["InMemoryJournal", "Journal", "changes"]


class Journal(Protocol):
    """Stores the memory of one dispenser. `now` is in milliseconds of the monotonic clock."""

    def load(self, now: int) -> Memory:
        """Return the memory of the last save, with times on the clock of `now`; an empty memory if there is none.

        Without a reboot the times are exact. After a power cut the time without power is unknown: times count from the
        last save, so that an age is never too high.
        """
        ...

    def save(self, memory: Memory, now: int) -> None:
        """Store the memory durably; the cost depends on the size of the change.

        Never raises: a dispenser without storage still dispenses paper.
        """
        ...

    def close(self) -> None:
        """Close the journal; `load` opens it again."""
        ...


class InMemoryJournal:
    """A journal in memory, for simulated fleets and tests. It survives the dispenser, not the process."""

    def __init__(self) -> None:
        self._memory = Memory()

    def load(self, now: int) -> Memory:  # noqa: ARG002 - one process has one clock
        return self._memory

    def save(self, memory: Memory, now: int) -> None:  # noqa: ARG002 - see above
        self._memory = memory

    def close(self) -> None:
        pass


def changes(before: Memory, after: Memory) -> tuple[list[PendingReport], list[int]]:
    """Return the added reports, and the numbers of the deleted ones.

    Numbers only grow and most deletions are at the front, so the cost depends on the change, not on the memory's size.
    """
    added = list(takewhile(lambda pending: pending.report.number > before.last_number, reversed(after.reports)))
    missing = len(before.reports) + len(added) - len(after.reports)
    deleted: list[int] = []
    left = iter(after.reports)
    still = next(left, None)
    for pending in before.reports:
        if len(deleted) == missing:
            break
        if still and still.report.number == pending.report.number:
            still = next(left, None)
        else:
            deleted.append(pending.report.number)
    return added, deleted
