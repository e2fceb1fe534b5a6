"""InfluxDB, version 1 or 2: made ready, and written to until it has the points.

`docs/metrics.md` lists what both answer.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.rest import ApiException

from models.backoff import Backoff
from models.settings import Settings
from stream_processors.runtime.health import Health
from stream_processors.sink.influx_setup import NotMadeReady, make_ready

__all__ = ["Influx", "open_influx"]

_TIMEOUT_MS = 5_000
_FINAL = frozenset({400, 413, 422})
"""Answers that say of points that they will never be taken; any other may change when somebody mends something."""
_AWAY = (aiohttp.ClientError, TimeoutError, OSError)
_DROPPED = re.compile(r"dropped=(\d+)")


class Influx:
    """Writes points. It is made ready before the first write, and again after one that failed."""

    def __init__(
        self, client: InfluxDBClientAsync, settings: Settings, health: Health, *, is_shadow: bool = False
    ) -> None:
        self._client = client
        self._settings = settings
        self._health = health
        self._is_shadow = is_shadow
        self._is_ready = False

    async def answers(self) -> bool:
        try:
            return bool(await self._client.ping())
        except (*_AWAY, ApiException):
            return False

    async def write(self, lines: Sequence[str]) -> None:
        """Return when InfluxDB has the lines, or has said that it will never take them; then they are counted."""
        if not lines:
            return
        backoff = Backoff(random.uniform)
        while not await self.offer(lines):
            await asyncio.sleep(backoff.after())

    async def offer(self, lines: Sequence[str]) -> bool:
        """Try once; whether that settled it."""
        try:
            await self._make_ready()
            await self._client.write_api().write(self._settings.influx_bucket, record="\n".join(lines))
        except ApiException as error:
            if error.status in _FINAL:
                self._reject(lines, error)
                return True
            self._health.fault(f"influxdb refuses: {error.status} {str(error.body)[:200]}")
        except _AWAY as error:
            self._health.fault(f"influxdb away: {str(error) or repr(error)}")
        else:
            self._health.count("points", len(lines))
            return True
        self._is_ready = False
        return False

    async def _make_ready(self) -> None:
        """Whoever may write may not always make buckets: then an operator has made them (`fairroll init-metrics`)."""
        if self._is_ready:
            return
        try:
            await make_ready(self._settings, is_shadow=self._is_shadow)
        except NotMadeReady as error:
            self._health.fault(f"influxdb not made ready: {error}")
        self._is_ready = True

    def _reject(self, lines: Sequence[str], error: ApiException) -> None:
        """Of a partial write the rest is kept, and InfluxDB tells how many are not."""
        dropped = _DROPPED.search(str(error.body))
        rejected = min(len(lines), int(dropped[1])) if dropped else len(lines)
        self._health.count("rejected", rejected)
        self._health.count("points", len(lines) - rejected)
        self._health.fault(f"{rejected} points rejected with {error.status}: {str(error.body)[:300]}")


@asynccontextmanager
async def open_influx(settings: Settings, health: Health, *, is_shadow: bool = False) -> AsyncIterator[Influx]:
    """Open a client; nothing is asked yet. `is_shadow`: the bucket is a place beside that of the metrics."""
    async with InfluxDBClientAsync(
        settings.influx_url, settings.influx_token, settings.influx_org, timeout=_TIMEOUT_MS, enable_gzip=True
    ) as client:
        yield Influx(client, settings, health, is_shadow=is_shadow)
