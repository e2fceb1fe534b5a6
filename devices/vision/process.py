"""The vision as a process: started, asked with a deadline, ended and started again where it fails.

A camera that hangs, a network that crashes or a picture that takes all memory costs a look. Nothing else waits for it,
and a kill ends it.
"""

import asyncio
import random
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec
import numpy as np
import structlog

from devices.vision.protocol import NUMBER, Answer, Captured, Ready, Unusable, VisionConfig, read_answer
from models.backoff import Backoff
from models.contract.codec import encode
from models.errors import ConfigError
from models.face.capture_result import Embedding, NotSeen, Reason

__all__ = ["VisionProcess", "worker_command"]

log = structlog.get_logger()

_CAPTURE_TIMEOUT_S = 8.0
"""Some ten times what a look takes on two cores; whoever stands there has pressed the button by then."""
_LOAD_TIMEOUT_S = 120.0
_REAP_TIMEOUT_S = 1.0
"""For a killed process to be gone; one that hangs in its camera's driver is left behind."""
_FAILURES = (TimeoutError, EOFError, OSError, msgspec.MsgspecError)


class VisionProcess:
    """While `run` runs, a process that has loaded camera and networks, and `look` asks it."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        capture_timeout_s: float = _CAPTURE_TIMEOUT_S,
        load_timeout_s: float = _LOAD_TIMEOUT_S,
        changed: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """`command` starts a process that speaks `devices.vision.protocol`.

        `capture_timeout_s` and `load_timeout_s` are the timeouts of a capture and of loading, in seconds.
        `changed` is called with `is_ready` when it changes.
        """
        self._command = command
        self._capture_timeout_s, self._load_timeout_s = capture_timeout_s, load_timeout_s
        self._changed = changed
        self._process: Process | None = None
        self._failed = asyncio.Event()
        self._captures = self._failures = 0

    @property
    def is_ready(self) -> bool:
        """Whether a look can be taken now."""
        return self._process is not None

    async def run(self) -> None:
        """Keep a process loaded, until cancelled. Raises ConfigError where the first one finds that it cannot work."""
        backoff = Backoff(random.uniform, first_s=0.5, longest_s=30.0, worked_s=60.0)
        was_ready = False
        self._changed(self.is_ready)
        while True:
            started = time.monotonic()
            try:
                async with self._loaded() as process:
                    was_ready = True
                    await self._until_failed(process)
                    log.error("vision ended, starting it anew", code=process.returncode)
            except ConfigError as error:
                if not was_ready:
                    raise
                log.error("vision cannot be started anew", error=str(error))
            except _FAILURES as error:
                log.error("vision cannot be started", error=repr(error))
            await asyncio.sleep(backoff.after(time.monotonic() - started))

    async def capture(self) -> Embedding | NotSeen:
        """Look once, one at a time. Where nothing comes in time the process is given up, and a new one is started."""
        self._captures += 1
        process, captured = self._process, None
        if process is None:
            return self._not_seen("no_picture")
        try:
            async with asyncio.timeout(self._capture_timeout_s):
                captured = await _ask(process, self._captures)
        except _FAILURES as error:
            log.error("look failed, starting vision anew", error=repr(error))
            return self._not_seen("no_picture")
        finally:
            if captured is None:  # also where whoever asked is gone: the answer must not be taken for the next one's
                self._give_up()
        if captured.embedding is None:
            return self._not_seen(captured.reason or "no_picture")
        return np.frombuffer(captured.embedding, dtype=np.float32)

    def _not_seen(self, reason: Reason) -> NotSeen:
        self._failures += reason == "no_picture"
        log.warning("no good look", reason=reason, looks=self._captures, without_picture=self._failures)
        return NotSeen(reason=reason)

    def _give_up(self) -> None:
        self._failed.set()
        self._set_process(None)

    def _set_process(self, process: Process | None) -> None:
        was_ready, self._process = self.is_ready, process
        if self.is_ready != was_ready:
            self._changed(self.is_ready)

    @asynccontextmanager
    async def _loaded(self) -> AsyncIterator[Process]:
        """A process that is ready, killed at the end. Raises ConfigError or one of _FAILURES."""
        process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE)
        try:
            async with asyncio.timeout(self._load_timeout_s):
                _check_ready(await read_answer(_output(process)))
            self._failed.clear()
            self._set_process(process)
            yield process
        finally:
            self._set_process(None)
            with suppress(ProcessLookupError):
                process.kill()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _REAP_TIMEOUT_S)

    async def _until_failed(self, process: Process) -> None:
        ends = {asyncio.create_task(process.wait()), asyncio.create_task(self._failed.wait())}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()


def worker_command(config: VisionConfig) -> tuple[str, ...]:
    """What starts the vision of this project."""
    return (sys.executable, "-m", "devices.vision.worker", encode(config).decode())


async def _ask(process: Process, number: int) -> Captured:
    assert process.stdin, "it is a pipe"  # noqa: S101 - for the type checker
    process.stdin.write(NUMBER.pack(number))
    await process.stdin.drain()
    answer = await read_answer(_output(process))
    if not isinstance(answer, Captured) or answer.number != number:
        raise msgspec.ValidationError(f"an answer to something else than look {number}")
    return answer


def _check_ready(answer: Answer) -> None:
    match answer:
        case Ready():
            return
        case Unusable(text=text):
            raise ConfigError(text)
        case Captured():
            raise msgspec.ValidationError("a look that nobody asked for")


def _output(process: Process) -> asyncio.StreamReader:
    assert process.stdout, "it is a pipe"  # noqa: S101 - for the type checker
    return process.stdout
