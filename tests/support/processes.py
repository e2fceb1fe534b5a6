"""Commands as child processes of a test: one way to run one to its end, and one to have it beside the test.

Each has a session of its own and ends with the block that started it, with everything that it started itself.
"""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from models.settings import Settings

__all__ = ["DISPENSER", "FAIRROLL", "Ran", "beside", "dispenser", "environ_of", "fairroll", "ran"]

FAIRROLL = (sys.executable, "-m", "infra.cli")
DISPENSER = (sys.executable, "-m", "devices.cli")
_WITHIN_S = 120.0
_STOP_S = 15.0


class Ran(NamedTuple):
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Of standard output."""
        return self.out.splitlines()


async def fairroll(settings: Settings, *arguments: str, typed: str = "", **environ: str) -> Ran:
    """Run `fairroll`, as an operator does."""
    return await ran(*FAIRROLL, *arguments, env=environ_of(settings, **environ), typed=typed)


async def dispenser(settings: Settings, *arguments: str, typed: str = "", **environ: str) -> Ran:
    """Run `dispenser`; `typed` is its standard input."""
    return await ran(*DISPENSER, *arguments, env=environ_of(settings, **environ), typed=typed)


def environ_of(settings: Settings, **more: str) -> dict[str, str]:
    """The environment of a command that works with these settings, in a terminal of 120 columns."""
    return os.environ | {"COLUMNS": "120"} | settings.to_environ() | more


async def ran(*command: str, env: Mapping[str, str] | None = None, typed: str = "", within_s: float = _WITHIN_S) -> Ran:
    """Run a command to its end. Raises TimeoutError if that takes longer."""
    async with beside(*command, env=env, stdin=PIPE, stderr=PIPE) as process:
        out, err = await asyncio.wait_for(process.communicate(typed.encode()), within_s)
        return Ran(process.returncode or 0, out.decode(), err.decode())


@asynccontextmanager
async def beside(
    *command: str, env: Mapping[str, str] | None = None, stdin: int = DEVNULL, stdout: int = PIPE, **options: Any
) -> AsyncIterator[Process]:
    """Run a command beside the test; at the end of the block it gets SIGTERM, and SIGKILL if that does not help."""
    process = await asyncio.create_subprocess_exec(
        *command, env=env, stdin=stdin, stdout=stdout, start_new_session=True, **options
    )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _STOP_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
