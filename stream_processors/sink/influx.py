"""Client of InfluxDB 1 and 2: sets it up, and retries writes until it has the points.

`docs/metrics.md` lists what both answer. A refused batch is halved until the unwritable line is isolated:
one bad line, or a proxy's limit on bodies, costs no other point. Writing a point twice is harmless.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import Enum, auto

import aiohttp
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.rest import ApiException

from models.backoff import Backoff
from models.errors import FairrollError
from models.metrics.storage import POINTS, bucket_name
from models.settings import Settings
from stream_processors.runtime.health import Health
from stream_processors.sink.influx_api import InfluxRefused
from stream_processors.sink.influx_setup import set_up

__all__ = ["Influx", "Outcome", "WriteRefused", "open_influx", "outcome_of"]

_TIMEOUT_MS = 5_000
_NO_POINTS = "#"
"""A comment in line protocol: a write of it needs the same token, right and bucket as a write of points."""
_FINAL = frozenset({400, 413, 422})
"""Status codes that the points themselves cause; any other is retried until the operator or InfluxDB recovers."""
_UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError)
_DROPPED = re.compile(r"dropped=(\d+)")
_WRONG_TOKEN = frozenset({401, 403})


class WriteRefused(FairrollError):
    """InfluxDB accepts no points now; the text has its answer and the setting to check."""


class Outcome(Enum):
    """The result of one refused write."""

    WRITTEN = auto()
    REJECTED = auto()
    """None of its lines can ever be written."""
    HALVE = auto()
    """Some of its lines cannot be written, or all of them are too many for one request."""
    LATER = auto()
    """The lines are not at fault."""


def outcome_of(status: int, answer: str, lines: int) -> Outcome:
    """Classify a refused write of `lines` lines by its status and its answer.

    After a partial write the answer counts the lines that were dropped; a line that cannot be parsed is not in it.
    """
    if status not in _FINAL:
        return Outcome.LATER
    dropped = _DROPPED.search(answer)
    all_dropped = dropped is not None and int(dropped[1]) >= lines
    return Outcome.REJECTED if lines == 1 or all_dropped else Outcome.HALVE


class Influx:
    """Writes points. InfluxDB is set up before the first write, and again after a failed one."""

    def __init__(self, client: InfluxDBClientAsync, settings: Settings, health: Health, policy: str) -> None:
        self._client = client
        self._settings = settings
        self._health = health
        self._policy = policy
        self._bucket = bucket_name(settings.influx_bucket, policy)
        self._is_set_up = False

    async def check(self) -> bool:
        """Return whether InfluxDB answers, without writing a point. Raises WriteRefused if it would accept none."""
        try:
            await self._set_up()
            await self._post([_NO_POINTS])
        except _UNREACHABLE:
            self._is_set_up = False
            return False
        except ApiException as error:
            self._is_set_up = False
            raise WriteRefused(_refusal(error)) from None
        return True

    async def write(self, lines: Sequence[str]) -> None:
        """Return when InfluxDB has the lines or has refused them permanently, which is counted as `rejected`."""
        backoff = Backoff(random.uniform)
        while lines := await self.offer(lines):
            await asyncio.sleep(backoff.after())

    async def offer(self, lines: Sequence[str]) -> list[str]:
        """Try to write the lines once; return those that must be written later."""
        batches = [list(lines)] if lines else []
        while batches:
            batch = batches.pop()
            match await self._attempt(batch):
                case Outcome.WRITTEN:
                    self._health.count("points", len(batch))
                case Outcome.REJECTED:
                    self._health.count("rejected", len(batch))
                case Outcome.HALVE:
                    middle = len(batch) // 2
                    batches += [batch[middle:], batch[:middle]]
                case Outcome.LATER:
                    self._is_set_up = False
                    return [line for rest in (batch, *reversed(batches)) for line in rest]
        return []

    async def _attempt(self, lines: Sequence[str]) -> Outcome:
        try:
            await self._set_up()
            await self._post(lines)
        except ApiException as error:
            outcome = outcome_of(error.status or 0, str(error.body), len(lines))
            if outcome is not Outcome.HALVE:
                self._health.fault(f"influxdb {_refusal(error, len(lines))}")
            return outcome
        except _UNREACHABLE as error:
            self._health.fault(f"influxdb is unreachable: {str(error) or repr(error)}")
            return Outcome.LATER
        return Outcome.WRITTEN

    async def _post(self, lines: Sequence[str]) -> None:
        await self._client.write_api().write(self._bucket, record="\n".join(lines))

    async def _set_up(self) -> None:
        """Set up InfluxDB. A token without these rights may still write; then run `fairroll init-metrics`."""
        if self._is_set_up:
            return
        try:
            await set_up(self._settings, self._policy)
        except InfluxRefused as error:
            self._health.fault(f"influxdb is not set up: {error}")
        self._is_set_up = True


def _refusal(error: ApiException, lines: int = 0) -> str:
    what = f"rejects {lines} points" if error.status in _FINAL else "refuses to write"
    hint = " (FAIRROLL_INFLUX_TOKEN)" if error.status in _WRONG_TOKEN else ""
    return f"{what}: {error.status} {str(error.body)[:300]}{hint}"


@asynccontextmanager
async def open_influx(settings: Settings, health: Health, policy: str = POINTS) -> AsyncIterator[Influx]:
    """Open a client that writes into a retention policy; nothing is sent yet."""
    async with InfluxDBClientAsync(
        settings.influx_url, settings.influx_token, settings.influx_org, timeout=_TIMEOUT_MS, enable_gzip=True
    ) as client:
        yield Influx(client, settings, health, policy)
