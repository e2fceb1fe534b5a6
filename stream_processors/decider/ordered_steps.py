"""Steps that run one after another, in the order in which they were put, while the caller continues."""

import asyncio
from collections.abc import Awaitable, Callable

from stream_processors.decider.watchdog import give_up

__all__ = ["OrderedSteps"]


class OrderedSteps:
    """A chain of tasks, of which a few may be pending. A step that fails ends the worker."""

    def __init__(self, most: int) -> None:
        """`most`: how many steps may be pending; `put` waits for room."""
        self._room = asyncio.Semaphore(most)
        self._last: asyncio.Task[None] | None = None

    async def put(self, step: Callable[[], Awaitable[None]]) -> None:
        """Run a step once those before it have ended."""
        await self._room.acquire()
        self._last = asyncio.create_task(self._run(step, after=self._last))

    async def ended(self) -> None:
        """Return when all steps have ended that were put so far."""
        if self._last:
            await self._last

    async def _run(self, step: Callable[[], Awaitable[None]], after: asyncio.Task[None] | None) -> None:
        try:
            if after:
                await after
            await step()
        except Exception as error:  # noqa: BLE001 - whatever it is, the steps after it must not run
            give_up("a batch could not be written", error=repr(error))
        finally:
            self._room.release()
