"""How fast a replay goes: a clock of its own, which can be halted."""

import asyncio
import time
from typing import Final

__all__ = ["Pace"]

_LOOK_AGAIN_S: Final = 0.05
_UNBROKEN: Final = 256
"""happenings in a row before others of the loop get their turn"""


class Pace:
    """`speed`: how many seconds of then pass in one of now. None: as fast as it goes."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._zero_s: float | None = None
        """when, on the monotonic clock, the clock of then showed 1970"""
        self._count = 0
        self.is_paused = False

    def toggle(self) -> None:
        """Pause before the next happening, or go on; the clock of then stands still meanwhile."""
        self.is_paused = not self.is_paused

    async def reach(self, at: int) -> None:
        """Wait until the clock of then shows `at`, milliseconds since 1970. The first call sets it."""
        await self._while_paused()
        if self._speed is None:
            self._count += 1
            if self._count % _UNBROKEN == 0:
                await asyncio.sleep(0)
            return
        then_s, now_s = at / 1000 / self._speed, time.monotonic()
        if self._zero_s is None:
            self._zero_s = now_s - then_s
        await asyncio.sleep(max(0.0, self._zero_s + then_s - now_s))

    async def _while_paused(self) -> None:
        paused_s = time.monotonic()
        while self.is_paused:
            await asyncio.sleep(_LOOK_AGAIN_S)
            if self._zero_s is not None:
                self._zero_s += time.monotonic() - paused_s
            paused_s = time.monotonic()
