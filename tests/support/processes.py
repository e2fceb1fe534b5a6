"""Commands as child processes of a test: one way to run one to its end, and one to have it beside the test.

Each has a session of its own and ends with the block that started it, with everything that it started itself.
"""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from models.settings import Settings

__all__ = [
    "DISPENSER",
    "FAIRROLL",
    "Ran",
    "beside",
    "broker_of",
    "dispenser",
    "environ_of",
    "everything_published",
    "fairroll",
    "pressed",
    "ran",
    "shown",
]

FAIRROLL = (sys.executable, "-m", "infra.cli")
DISPENSER = (sys.executable, "-m", "devices.cli")
_WITHIN_S = 120.0
"""Whatever hangs ends here; nothing is judged by it."""
_STOP_S = 15.0


class Ran(NamedTuple):
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Standard output, of a command that is to succeed."""
        assert self.code == 0, self.err
        return self.out.splitlines()


async def fairroll(settings: Settings, *arguments: str, typed: str = "", **environ: str) -> Ran:
    """Run `fairroll`, as an operator does."""
    return await ran(*FAIRROLL, *arguments, env=environ_of(settings, **environ), typed=typed)


async def dispenser(
    settings: Settings, *arguments: str, sign: str = "", presses: Sequence[str] = (), **environ: str
) -> Ran:
    """Run `dispenser`; what it shows before the sign, which comes as soon as its camera is ready, is left out.

    Each press comes after the line that the one before brought.
    """
    command = (*DISPENSER, *arguments)
    async with beside(*command, env=environ_of(settings, **environ), stdin=PIPE, stderr=PIPE) as process:
        reported: list[str] = []
        while sign and sign not in reported:
            reported = [await shown(process)]
        reported += [await pressed(process, press) for press in presses]
        out, err = await asyncio.wait_for(process.communicate(b""), _WITHIN_S)  # b"" closes its standard input
    return Ran(process.returncode or 0, "".join(f"{line}\n" for line in reported) + out.decode(), err.decode())


async def pressed(process: Process, press: str) -> str:
    """What a dispenser shows after a press."""
    assert process.stdin
    process.stdin.write(f"{press}\n".encode())
    await process.stdin.drain()
    return await shown(process)


async def shown(process: Process) -> str:
    """The next line of a dispenser's display; "" at its end."""
    assert process.stdout
    return (await asyncio.wait_for(process.stdout.readline(), _WITHIN_S)).decode().strip()


def environ_of(settings: Settings, **more: str) -> dict[str, str]:
    """The environment of a command that works with these settings, in a terminal of 120 columns."""
    return os.environ | {"COLUMNS": "120"} | settings.to_environ() | more


def broker_of(settings: Settings) -> tuple[str, ...]:
    """The options of mosquitto_pub and mosquitto_sub."""
    host, _, port = settings.mqtt.rpartition(":")
    return "-V", "mqttv5", "-h", host, "-p", port


@asynccontextmanager
async def everything_published(settings: Settings) -> AsyncIterator[list[bytes]]:
    """What the MQTT broker has retained or is sent meanwhile; it is in the list after the block."""
    published: list[bytes] = []
    async with beside("mosquitto_sub", *broker_of(settings), "-t", "#") as client:
        yield published
        await asyncio.sleep(1)
        client.terminate()
        published.append((await client.communicate())[0])


async def ran(*command: str, env: Mapping[str, str] | None = None, typed: str = "", **options: Any) -> Ran:
    """Run a command to its end; `typed` is its standard input."""
    async with beside(*command, env=env, stdin=PIPE, stderr=PIPE, **options) as process:
        out, err = await asyncio.wait_for(process.communicate(typed.encode()), _WITHIN_S)
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
