"""The buttons: lines of standard input in their place."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

__all__ = ["typed_lines"]

_MAX_LINE_BYTES = 1_000
"""Bytes; a longer line counts as several."""


async def typed_lines(descriptor: int) -> AsyncIterator[str]:
    """The lines of a file descriptor until its end, as they come; empty ones are left out.

    They are read in a daemon thread, one ahead: it keeps nothing from ending, and a flood waits in the pipe.
    """
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop, room = asyncio.get_running_loop(), threading.Semaphore()

    def put(line: str) -> None:
        room.acquire()
        loop.call_soon_threadsafe(lines.put_nowait, line)

    def read() -> None:
        with suppress(RuntimeError):  # a loop that has ended takes nothing any more
            with suppress(OSError):  # what cannot be read is at its end
                for line in _lines(descriptor):
                    put(line)
            put("")

    threading.Thread(target=read, name="buttons", daemon=True).start()
    while line := await lines.get():
        room.release()
        yield line


def _lines(descriptor: int) -> Iterator[str]:
    # unbuffered: Python's own buffer would be locked by this thread when the process ends
    with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as source:
        while line := source.readline(_MAX_LINE_BYTES):
            if text := line.decode(errors="replace").strip():
                yield text
