"""The life cycle of every service: event loop, orderly stop, restart after an outage.

SIGTERM or SIGINT cancels the work. Work in progress ends under `drain` or `unbroken`, with a timeout; then the contexts
close, and the exit code is 0. The brokers redeliver what did not end in time. A second signal ends the process
immediately.
"""

import asyncio
import logging
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from aiomqtt import MqttError

from models.backoff import Backoff
from models.process.mqtt_client import MqttRejected
from models.settings import Settings
from stream_processors.runtime.health import Health, served

__all__ = [
    "DRAIN_S",
    "again_after_outages",
    "announce_ready",
    "drain",
    "log_to_stderr",
    "serve",
    "unbroken",
]

log = structlog.get_logger()

DRAIN_S = 3.0
"""Timeout of work in progress after a stop."""
_END_S = DRAIN_S + 0.5
"""The process ends after this time in any case, since a producer waits for a lost Kafka without end."""

Work = Callable[[], Awaitable[None]]


def serve(work: Work, health: Health, settings: Settings) -> None:
    """Run `work` until SIGTERM or SIGINT; after the loss of a broker, run it again with a jittered backoff."""
    log_to_stderr()
    # not uvloop: with paho it can miss a closed connection until the keep-alive expires
    asyncio.run(_serve(work, health, settings.health))


async def again_after_outages(work: Work, health: Health) -> None:
    """Run the work; after the loss of a broker, run it again with a jittered backoff. Returns when it is done."""
    clock, backoff = asyncio.get_running_loop().time, Backoff(random.uniform)
    while True:
        started = clock()
        try:
            return await work()
        except* (MqttError, KafkaError, TimeoutError) as outage:
            health.fault(", ".join(_describe(error) for error in _leaves(outage)))
        await asyncio.sleep(backoff.after(clock() - started))


def _describe(error: Exception) -> str:
    return str(error) if isinstance(error, MqttRejected) else f"broker lost: {error!r}"


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


async def drain(rest: Awaitable[object], *needs: asyncio.Future[Any]) -> None:
    """Wait `DRAIN_S` for the rest of the work, or until one of its `needs` has ended."""
    task = asyncio.ensure_future(rest)
    await asyncio.wait({task, *needs}, timeout=DRAIN_S, return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        log.warning("not drained")
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def unbroken(step: Coroutine[Any, Any, None], *needs: asyncio.Future[Any]) -> None:
    """Run a step; when cancelled, drain it first."""
    task = asyncio.create_task(step)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await drain(task, *needs)
        raise


def announce_ready(what: str) -> None:
    """Print the readiness line on standard output, which the parent process waits for."""
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


async def _serve(work: Work, health: Health, address: str) -> None:
    async with served(health, address):
        task = asyncio.ensure_future(again_after_outages(work, health))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, _stop, task)
        try:
            await task
        except asyncio.CancelledError:
            log.info("stopped")


def _stop(task: asyncio.Task[None]) -> None:
    """Cancel the work with a timeout; the next signal has its default action and ends the process."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
    loop.call_later(_END_S, _give_up)
    task.cancel()


def _give_up() -> None:
    log.warning("stopped without closing")
    os._exit(0)
