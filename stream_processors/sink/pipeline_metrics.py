"""Metrics of the pipeline itself: its services and its consumer groups, sampled every ten seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn

import aiohttp
import msgspec
from aiokafka.errors import KafkaError

from models.settings import Settings
from stream_processors.runtime.consumer_lag import read_consumer_lag
from stream_processors.runtime.health import Health, Vitals
from stream_processors.sink.influx import Influx
from stream_processors.sink.points import lag_point, service_point

__all__ = ["Sampler", "ask_services"]

_EVERY_S = 10
_PATIENCE_S = 5.0


class Sampler:
    """Samples services and lag while `is_ours` returns True: one of several sinks does it.

    A sample that InfluxDB does not accept immediately is dropped and counted. Services and lag are sampled separately,
    so that an outage of Kafka, which delays the lag, does not delay the state of services.
    """

    def __init__(self, settings: Settings, influx: Influx, health: Health, is_ours: Callable[[], bool]) -> None:
        self._settings = settings
        self._influx = influx
        self._health = health
        self._is_ours = is_ours
        self._last: dict[str, Vitals] = {}
        """the last answer at each address"""

    async def sample_services(self) -> NoReturn:
        """Run until cancelled."""
        await self._repeat(self._services)

    async def sample_lag(self) -> NoReturn:
        """Run until cancelled."""
        await self._repeat(self._lag)

    async def _repeat(self, read: Callable[[int], Awaitable[list[str]]]) -> NoReturn:
        while True:
            await asyncio.sleep(_EVERY_S - time.time() % _EVERY_S)
            if self._is_ours():
                lines = await read(int(time.time()) // _EVERY_S * _EVERY_S * 1000)
                self._health.count("samples_dropped", len(await self._influx.offer(lines)))

    async def _services(self, at: int) -> list[str]:
        asked = await ask_services(self._settings)
        self._last |= {address: vitals for address, vitals in asked.items() if vitals}
        return [service_point(address, vitals, at, self._last.get(address)) for address, vitals in asked.items()]

    async def _lag(self, at: int) -> list[str]:
        short = self._settings.topics.short
        try:
            async with asyncio.timeout(3 * _PATIENCE_S):
                found = await read_consumer_lag(self._settings)
        except (KafkaError, TimeoutError) as error:
            self._health.fault(f"the lag of the consumer groups cannot be read: {error!r}")
            return []
        return [lag_point(short(one.group), short(one.topic), one.records, round(one.seconds, 3), at) for one in found]


async def ask_services(settings: Settings) -> dict[str, Vitals | None]:
    """Return the answer of each service by its address; None for no answer."""
    addresses = settings.service_addresses
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_PATIENCE_S)) as http:
        vitals = await asyncio.gather(*(_vitals(http, address) for address in addresses))
    return dict(zip(addresses, vitals, strict=True))


async def _vitals(http: aiohttp.ClientSession, address: str) -> Vitals | None:
    """Read the vitals at an address; the body is decoded with any status."""
    try:
        async with http.get(f"http://{address}/readyz") as answer:
            return msgspec.json.decode(await answer.read(), type=Vitals)
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
        return None
