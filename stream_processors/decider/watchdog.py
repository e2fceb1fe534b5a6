"""Ends a decider process that is frozen or stuck; its supervisor restarts it.

Nothing is lost: the state is recovered from Kafka and unfinished events are redelivered. An orderly stop of a broken
worker could take a minute, or never end.
"""

import os
import sys
import threading
import time
from collections.abc import Collection
from typing import Final, NoReturn, Self

import structlog

__all__ = ["EXIT_CODE", "Watchdog", "give_up"]

log = structlog.get_logger()

EXIT_CODE: Final = 70
"""EX_SOFTWARE of sysexits.h."""
_BEAT_S = 0.5
_FROZEN_S = 4.0
"""Kafka reassigns partitions 6 s after the last heartbeat, which may be 1.5 s old when a worker freezes."""
_STUCK_S = 30.0
"""Six ticks: an event comes to every partition every 5 s."""
_RECOVERS_S = 120.0
"""Longest time without a recovered row. A failed recovery raises no error, so only a timeout detects it."""


def give_up(reason: str, **fields: object) -> NoReturn:
    """End the process immediately: nothing more is sent, acknowledged or committed."""
    log.error("gives up", reason=reason, **fields)
    sys.stderr.flush()
    os._exit(EXIT_CODE)


class Watchdog:
    """Runs a thread that ends the process when a partition makes no progress, or when the whole process was frozen.

    A frozen worker (SIGSTOP, a paused machine) that resumes has stale rows: another worker may own its partitions. Both
    `check`, before each decision, and the thread detect it. Call `start` first.
    """

    def __init__(self) -> None:
        self._beat = time.monotonic()
        self._moved: dict[int, float] = {}
        self._paused_since: float | None = None

    def start(self) -> Self:
        self._beat = time.monotonic()
        self._paused_since = self._beat
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    def expect(self, partitions: Collection[int]) -> None:
        """Expect events of these partitions, at least one in `_STUCK_S`."""
        self._moved = dict.fromkeys(partitions, time.monotonic())
        self._paused_since = None

    def pause(self) -> None:
        """Until the next `expect`, require a call of `recovers` at least every `_RECOVERS_S` instead of events."""
        self._moved = {}
        self._paused_since = time.monotonic()

    def recovers(self) -> None:
        """Record that a row was recovered, so the recovery makes progress."""
        if self._paused_since is not None:
            self._paused_since = time.monotonic()

    def moved(self, partition: int) -> None:
        """Record that an event of this partition was decided."""
        self._moved[partition] = time.monotonic()

    def check(self) -> None:
        """End the process if it was frozen since its last heartbeat."""
        if (silent := time.monotonic() - self._beat) > _FROZEN_S:
            give_up("was frozen, and its partitions may be another worker's", seconds=round(silent, 1))

    def stuck(self, now: float) -> str | None:
        """Return what makes no progress at `now`, monotonic seconds."""
        if (since := self._paused_since) is not None:
            return "the recovery does not end" if now - since > _RECOVERS_S else None
        late = [partition for partition, moved in dict(self._moved).items() if now - moved > _STUCK_S]
        return f"partitions {late} do not move" if late else None

    def _watch(self) -> None:
        while True:
            time.sleep(_BEAT_S)
            self.check()
            self._beat = time.monotonic()
            if what := self.stuck(self._beat):
                give_up(what)
