"""What every long-running process has in common: an event loop, a clean stop, a new start after an outage."""

import asyncio
import logging
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator

import structlog
import uvloop
from aiokafka.errors import KafkaError
from aiomqtt import MqttError

__all__ = ["announce_ready", "jittered_waits", "log_to_stderr", "serve"]

log = structlog.get_logger()

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0
_WORKED_S = 30.0


def serve(work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` until SIGTERM or SIGINT, and again, after a jittered wait, when a broker was lost."""
    log_to_stderr()
    uvloop.run(_until_told(work))


def jittered_waits() -> Iterator[float]:
    """Seconds to wait before the next attempt: doubling, bounded, and never the same for two who failed together."""
    wait = _FIRST_WAIT_S
    while True:
        yield wait * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret
        wait = min(2 * wait, _LONGEST_WAIT_S)


def announce_ready(what: str) -> None:
    """Say on standard output that the process does its work from now on; whoever started it waits for the line."""
    sys.stdout.write(f"ready: {what}\n")
    sys.stdout.flush()


def log_to_stderr() -> None:
    """Log events with fields, one JSON object a line, to standard error."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


async def _until_told(work: Callable[[], Awaitable[None]]) -> None:
    task = asyncio.ensure_future(_again_after_outages(work))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        log.info("stopped")


async def _again_after_outages(work: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        for wait in jittered_waits():
            started = loop.time()
            try:
                await work()
            except* (MqttError, KafkaError) as outage:
                log.warning("broker lost", errors=[repr(error) for error in outage.exceptions])
            await asyncio.sleep(wait)
            if loop.time() - started > _WORKED_S:
                break  # it worked in between: the next outage is a new one
