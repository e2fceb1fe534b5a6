"""The buttons, simulated by lines of standard input."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

__all__ = ["typed_lines"]

_MAX_LINE_BYTES = 1_000
"""Longer lines are split."""


async def typed_lines(descriptor: int) -> AsyncIterator[str]:
    """Yield the lines of a file descriptor until its end, without blank lines.

    A daemon thread reads one line ahead: it does not delay the exit of the process, and the pipe provides backpressure.
    An error while reading ends the iteration.
    """
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop, room = asyncio.get_running_loop(), threading.Semaphore()

    def put(line: str) -> None:
        room.acquire()
        loop.call_soon_threadsafe(lines.put_nowait, line)

    def read() -> None:
        with suppress(RuntimeError):  # the event loop is closed
            with suppress(OSError):  # a read error ends the iteration
                for line in _lines(descriptor):
                    put(line)
            put("")

    threading.Thread(target=read, name="buttons", daemon=True).start()
    while line := await lines.get():
        room.release()
        yield line


def _lines(descriptor: int) -> Iterator[str]:
    # unbuffered: this thread would hold the lock of Python's buffer when the process exits
    with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as source:
        while line := source.readline(_MAX_LINE_BYTES):
            if text := line.decode(errors="replace").strip():
                yield text
