"""A program of the local stack: one OS process with its output in a log file."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.local.programs import Program
from models.errors import FairrollError

__all__ = ["Process", "ProgramDied"]

_START_S = 60
_STOP_S = 15
_LOOK_AGAIN_S = 0.03
_TAIL_LINES = 20
_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS)


class ProgramDied(FairrollError):
    """A program ended by itself, or did not become ready. The text names it and has the end of its log."""


class Process:
    """A process in a session of its own: Ctrl-C in a terminal reaches only the stack, which stops them in order.

    On Linux it also ends (SIGTERM) when the stack's own process is killed.
    """

    def __init__(self, program: Program, log: Path) -> None:
        self.program = program
        self.log = log
        self.notice = ""
        """a message to the operator about the last start"""
        self._child: asyncio.subprocess.Process | None = None
        self._log_start = 0
        self._is_wanted = False

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.returncode is None

    @property
    def pid(self) -> int | None:
        """None before the first start."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Start the process; returns before it is ready."""
        await self.program.prepare()
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            spawned = asyncio.ensure_future(
                asyncio.create_subprocess_exec(
                    *_ending_with_us(),
                    *self.program.command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=os.environ | self.program.environ,
                    start_new_session=True,
                )
            )
            try:
                self._child = await asyncio.shield(spawned)
            except asyncio.CancelledError:  # otherwise the process would remain without a reference
                self._child = await spawned
                raise
        self._is_wanted = True

    async def until_ready(self) -> None:
        """Wait until it is ready. Raises ProgramDied if it ends before, or takes longer than a minute.

        A program that ends by itself may be unable to read its state file. It is started again without the file, which
        keeps another name if that helps and is restored otherwise.
        """
        self.notice = ""
        try:
            await self._until_ready()
        except ProgramDied:
            if not (self._failed and self.program.state and self.program.state.exists()):
                raise
            with _set_aside(self.program.state) as aside:
                await self._start_again()
            self.notice = f"{self.program.name} could not read {self.program.state}, which was moved to {aside.name}"

    async def _start_again(self) -> None:
        try:
            await self.start()
            await self._until_ready()
        except BaseException:
            await self.kill()
            raise

    async def _until_ready(self) -> None:
        try:
            async with asyncio.timeout(_START_S):
                while not await self._is_ready():
                    self.check()
                    await asyncio.sleep(_LOOK_AGAIN_S)
                self.check()
        except TimeoutError:
            raise ProgramDied(f"{self.program.name} was not ready after {_START_S} s; {self._last_words()}") from None

    @property
    def ending(self) -> str | None:
        """How it ended without a stop: a signal's name or an exit code; else empty."""
        if self._is_wanted and self._child and self._child.returncode is not None:
            return _told(self._child.returncode)
        return None

    @property
    def _failed(self) -> bool:
        """Whether it ended by its own fault: an exit code, or a signal that no other process sends."""
        returncode = (self._child and self._child.returncode) or 0
        return returncode > 0 or -returncode in _CRASHES

    def check(self) -> None:
        """Raise ProgramDied if it ended without a stop."""
        if self.ending:
            raise ProgramDied(f"{self.program.name} died ({self.ending}); {self._last_words()}")

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL after 15 s; returns when it has ended."""
        self._is_wanted = False
        if not (self._child and self.is_running):
            return
        self._child.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await self._child.wait()
        except TimeoutError:
            await self.kill()
        with suppress(ProcessLookupError):  # usually nothing is left of its process group
            os.killpg(self._child.pid, signal.SIGKILL)

    async def kill(self) -> None:
        """SIGKILL, also to its children; returns when it has ended."""
        self._is_wanted = False
        if self._child and self.is_running:
            os.killpg(self._child.pid, signal.SIGKILL)
            await self._child.wait()

    async def _is_ready(self) -> bool:
        if self.program.ready:
            return await self.program.ready()
        return any(line.startswith("ready") for line in self._output())

    def _output(self) -> list[str]:
        """The lines since the last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace").splitlines()

    def _last_words(self) -> str:
        lines = self._output()[-_TAIL_LINES:]
        return "\n".join([f"the end of {self.log}:", *lines]) if lines else f"{self.log} is empty"


@contextmanager
def _set_aside(state: Path) -> Iterator[Path]:
    """Rename the file; rename it back if the block raises."""
    aside = state.with_name(f"{state.name}.unreadable-{time.strftime('%Y%m%dT%H%M%S')}")
    state.rename(aside)
    try:
        yield aside
    except BaseException:
        aside.replace(state)
        raise


def _ending_with_us() -> tuple[str, ...]:
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "TERM", "--") if setpriv else ()


def _told(returncode: int) -> str:
    return f"exit code {returncode}" if returncode >= 0 else signal.Signals(-returncode).name
