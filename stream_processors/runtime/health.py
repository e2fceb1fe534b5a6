"""The health of a service: `/healthz` and `/readyz`, shown by `fairroll status`."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NoReturn

import structlog
from aiohttp import web
from msgspec import Struct

from models.contract.codec import encode
from models.errors import ConfigError, FairrollError
from models.settings import host_and_port

__all__ = ["Fault", "Health", "Vitals", "served"]

log = structlog.get_logger()

_STUCK_S = 60.0
"""Longer than any wait with a timeout: a request to Kafka is given up after 40 s, a publish after 10 s."""
_LOOK_EVERY_S, _PATIENCE_S = 2.0, 3.0
_OK, _UNAVAILABLE = 200, 503


class Fault(Struct, frozen=True, kw_only=True):
    """The last fault; the text contains no visitor."""

    ago_s: float
    text: str


class Vitals(Struct, frozen=True, kw_only=True):
    """The body of both answers, as JSON."""

    service: str
    """keyholder, ingress, decider, egress or sink"""
    instance: str
    alive: bool
    """False: it makes no progress and should be restarted; `/healthz` answers 503"""
    ready: bool
    """False: it cannot work now, because a broker or its state is missing; `/readyz` answers 503"""
    up_s: float
    counts: dict[str, int]
    """since the start, by name: messages, dead_letters, ..."""
    last_fault: Fault | None = None


class Health:
    """The health of a service while it runs. Not thread-safe.

    The service or `watch` sets `ready`. It is alive while the check `alive` returns True and no step in `at_work` takes
    longer than a minute. While it is not ready that time does not count: a restart does not help against a lost
    broker. A blocked event loop answers no probe at all. `counts` start at 0, so that an increase is visible.
    """

    def __init__(
        self,
        service: str,
        instance: str,
        *,
        counts: Iterable[str] = (),
        alive: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service, self._instance = service, instance
        self._alive, self._clock = alive, clock
        self._started = clock()
        self._ready_since: float | None = None
        self._counts: Counter[str] = Counter(dict.fromkeys(counts, 0))
        self._fault: tuple[float, str] | None = None
        self._at_work: dict[object, float] = {}

    @property
    def ready(self) -> bool:
        return self._ready_since is not None

    @ready.setter
    def ready(self, is_ready: bool) -> None:
        if is_ready is not self.ready:
            self._ready_since = self._clock() if is_ready else None

    def count(self, name: str, number: int = 1) -> None:
        self._counts[name] += number

    def fault(self, text: str) -> None:
        """Log and store a fault; the text must contain no visitor."""
        log.warning(text, service=self._service)
        self._fault = (self._clock(), text)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Mark a step of the work; several may run at the same time."""
        piece = object()
        self._at_work[piece] = self._clock()
        try:
            yield
        finally:
            del self._at_work[piece]

    async def watch(self, **checks: Callable[[], Awaitable[bool]]) -> NoReturn:
        """Check every 2 s; ready while each check returns True within 3 s. Runs until cancelled.

        A check may raise FairrollError, whose text continues its name: `refuses to write: 401`.
        """
        try:
            while True:
                failures = [f"{name} {why}" for name, check in checks.items() if (why := await _failure(check))]
                for failure in failures:
                    self.fault(failure)
                self.ready = not failures
                await asyncio.sleep(_LOOK_EVERY_S)
        finally:
            self.ready = False

    def vitals(self) -> Vitals:
        now = self._clock()
        return Vitals(
            service=self._service,
            instance=self._instance,
            alive=self._alive() and not self._is_stuck(now),
            ready=self.ready,
            up_s=round(now - self._started, 1),
            counts=dict(self._counts),
            last_fault=Fault(ago_s=round(now - self._fault[0], 1), text=self._fault[1]) if self._fault else None,
        )

    def _is_stuck(self, now: float) -> bool:
        ready_since = self._ready_since
        if ready_since is None:
            return False
        return any(now - max(begun, ready_since) > _STUCK_S for begun in self._at_work.values())


@asynccontextmanager
async def served(health: Health, address: str) -> AsyncIterator[None]:
    """Serve `/healthz` and `/readyz` at host:port; an empty address serves nothing.

    Raises ConfigError naming the variable if it cannot listen.
    """
    if not address:
        yield
        return
    runner = web.AppRunner(_application(health), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await _listen(runner, address)
        yield
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, address: str) -> None:
    try:
        await web.TCPSite(runner, *host_and_port(address)).start()
    except OSError as error:
        raise ConfigError(f"FAIRROLL_HEALTH={address!r}: cannot listen there: {error.strerror or error}") from None


def _application(health: Health) -> web.Application:
    async def healthz(_: web.Request) -> web.Response:
        vitals = health.vitals()
        return _response(vitals, is_well=vitals.alive)

    async def readyz(_: web.Request) -> web.Response:
        vitals = health.vitals()
        return _response(vitals, is_well=vitals.ready)

    application = web.Application()
    application.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz)])
    return application


def _response(vitals: Vitals, *, is_well: bool) -> web.Response:
    return web.Response(body=encode(vitals), status=_OK if is_well else _UNAVAILABLE, content_type="application/json")


async def _failure(check: Callable[[], Awaitable[bool]]) -> str:
    """Run a check and return what is wrong; empty: nothing."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            try:
                return "" if await check() else "does not answer"
            except FairrollError as error:
                return str(error)
    return "does not answer"
