"""The last resort of a worker: exit immediately, as if killed, to be restarted by its supervisor.

What a worker may lose by that is what it may lose by kill -9: nothing, since its state is recovered from Kafka and
every event that it had not finished comes again. An orderly end of a broken worker could take a minute, or never come.
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
"""Kafka gives a worker's partitions away 6 s after its last heartbeat, which was up to 1.5 s before it froze."""
_STUCK_S = 30.0
"""Six ticks: an event comes to every partition every 5 s."""
_RECOVERS_S = 120.0
"""How long a rebalance or a recovery may go on without a row; Faust shows a failed one only by never ending it."""


def give_up(reason: str, **fields: object) -> NoReturn:
    """End the process, now: nothing that it has in hand is sent, acknowledged or committed."""
    log.error("gives up", reason=reason, **fields)
    sys.stderr.flush()
    os._exit(EXIT_CODE)


class Watchdog:
    """A thread that ends the process when a partition does not move, or when the whole process was frozen.

    A frozen worker (SIGSTOP, a paused machine) that wakes as a zombie holds rows that others have changed meanwhile.
    `check` before each decision and the thread's own beat see it, whichever runs first. It judges
    nothing before `start`.
    """

    def __init__(self) -> None:
        self._beat = time.monotonic()
        self._moved: dict[int, float] = {}
        self._pauses_since: float | None = None

    def start(self) -> Self:
        self._beat = time.monotonic()
        self._pauses_since = self._beat
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    def expect(self, partitions: Collection[int]) -> None:
        """From now on events of these partitions must come, one in `_STUCK_S` at least."""
        self._moved = dict.fromkeys(partitions, time.monotonic())
        self._pauses_since = None

    def pause(self) -> None:
        """Nothing is decided until the next `expect`; until then something must `recover` every `_RECOVERS_S`."""
        self._moved = {}
        self._pauses_since = time.monotonic()

    def recovers(self) -> None:
        """A row was recovered: however many follow, the recovery goes on."""
        if self._pauses_since is not None:
            self._pauses_since = time.monotonic()

    def moved(self, partition: int) -> None:
        """An event of this partition was decided."""
        self._moved[partition] = time.monotonic()

    def check(self) -> None:
        """Return only if this process was not frozen since its last beat."""
        if (silent := time.monotonic() - self._beat) > _FROZEN_S:
            give_up("was frozen, and its partitions may be another worker's", seconds=round(silent, 1))

    def stuck(self, now: float) -> str | None:
        """Return what makes no progress at `now`, monotonic seconds."""
        if (since := self._pauses_since) is not None:
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
