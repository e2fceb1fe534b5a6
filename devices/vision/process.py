"""The vision process: started, called with a timeout, killed and restarted after a failure.

A hanging camera, a crashing network or a picture that exhausts the memory fails one capture. Nothing else waits for the
process, and a kill ends it.
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
"""About ten times the duration of a capture on two cores; by then the visitor has pressed the button."""
_LOAD_TIMEOUT_S = 120.0
_REAP_TIMEOUT_S = 1.0
"""Timeout of the exit of a killed process; one that hangs in the camera driver is left behind."""
_FAILURES = (TimeoutError, EOFError, OSError, msgspec.MsgspecError)


class VisionProcess:
    """A child process with camera and networks: `run` keeps it loaded, `capture` calls it."""

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
        """Whether a capture is possible now."""
        return self._process is not None

    async def run(self) -> None:
        """Keep a process loaded until cancelled. Raises ConfigError if the first process is unusable."""
        backoff = Backoff(random.uniform, first_s=0.5, longest_s=30.0, worked_s=60.0)
        was_ready = False
        self._changed(self.is_ready)
        while True:
            started = time.monotonic()
            try:
                async with self._loaded() as process:
                    was_ready = True
                    await self._until_failed(process)
                    log.error("vision process ended, restarting it", code=process.returncode)
            except ConfigError as error:
                if not was_ready:
                    raise
                log.error("vision process cannot be restarted", error=str(error))
            except _FAILURES as error:
                log.error("vision process cannot be started", error=repr(error))
            await asyncio.sleep(backoff.after(time.monotonic() - started))

    async def capture(self) -> Embedding | NotSeen:
        """Capture once; one call at a time. After a timeout or a failure the process is killed and restarted."""
        self._captures += 1
        process, captured = self._process, None
        if process is None:
            return self._not_seen("no_picture")
        try:
            async with asyncio.timeout(self._capture_timeout_s):
                captured = await _request_capture(process, self._captures)
        except _FAILURES as error:
            log.error("capture failed, restarting the vision process", error=repr(error))
            return self._not_seen("no_picture")
        finally:
            if captured is None:  # also after a cancellation: the next call must not receive this answer
                self._mark_failed()
        if captured.embedding is None:
            return self._not_seen(captured.reason or "no_picture")
        return np.frombuffer(captured.embedding, dtype=np.float32)

    def _not_seen(self, reason: Reason) -> NotSeen:
        self._failures += reason == "no_picture"
        log.warning("capture without a face", reason=reason, captures=self._captures, without_picture=self._failures)
        return NotSeen(reason=reason)

    def _mark_failed(self) -> None:
        self._failed.set()
        self._set_process(None)

    def _set_process(self, process: Process | None) -> None:
        was_ready, self._process = self.is_ready, process
        if self.is_ready != was_ready:
            self._changed(self.is_ready)

    @asynccontextmanager
    async def _loaded(self) -> AsyncIterator[Process]:
        """Start a process, wait until it is ready, kill it at the end. Raises ConfigError or one of _FAILURES."""
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
    """Return the command line of the vision process."""
    return (sys.executable, "-m", "devices.vision.worker", encode(config).decode())


async def _request_capture(process: Process, number: int) -> Captured:
    assert process.stdin, "it is a pipe"  # noqa: S101 - for the type checker
    process.stdin.write(NUMBER.pack(number))
    await process.stdin.drain()
    answer = await read_answer(_output(process))
    if not isinstance(answer, Captured) or answer.number != number:
        raise msgspec.ValidationError(f"not the answer to capture {number}")
    return answer


def _check_ready(answer: Answer) -> None:
    match answer:
        case Ready():
            return
        case Unusable(text=text):
            raise ConfigError(text)
        case Captured():
            raise msgspec.ValidationError("an unexpected capture result")


def _output(process: Process) -> asyncio.StreamReader:
    assert process.stdout, "it is a pipe"  # noqa: S101 - for the type checker
    return process.stdout
