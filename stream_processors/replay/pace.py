"""The speed of a replay: a clock that can be paused."""

import asyncio
import time
from typing import Final

__all__ = ["Pace"]

_POLL_S: Final = 0.05
_UNBROKEN: Final = 256
"""events in a row before other tasks of the event loop run"""


class Pace:
    """`speed`: recorded seconds per second of real time. None: as fast as possible."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._zero_s: float | None = None
        """monotonic time at which the recorded clock showed 1970"""
        self._count = 0
        self.is_paused = False

    def toggle(self) -> None:
        """Pause before the next event, or continue; the recorded clock stops meanwhile."""
        self.is_paused = not self.is_paused

    async def reach(self, at: int) -> None:
        """Wait until the recorded clock shows `at`, milliseconds since 1970. The first call sets it."""
        await self._while_paused()
        if self._speed is None:
            self._count += 1
            if self._count % _UNBROKEN == 0:
                await asyncio.sleep(0)
            return
        recorded_s, now_s = at / 1000 / self._speed, time.monotonic()
        if self._zero_s is None:
            self._zero_s = now_s - recorded_s
        await asyncio.sleep(max(0.0, self._zero_s + recorded_s - now_s))

    async def _while_paused(self) -> None:
        paused_s = time.monotonic()
        while self.is_paused:
            await asyncio.sleep(_POLL_S)
            if self._zero_s is not None:
                self._zero_s += time.monotonic() - paused_s
            paused_s = time.monotonic()
