"""Metrics of the pipeline itself: its services and its consumer groups, looked at every ten seconds."""

import asyncio
import time
from collections.abc import Callable
from typing import NoReturn

import aiohttp
import msgspec
from aiokafka.errors import KafkaError

from models.settings import Settings
from stream_processors.runtime.consumer_lag import read_backlogs
from stream_processors.runtime.health import Health, Vitals
from stream_processors.sink.influx import Influx
from stream_processors.sink.points import lag_point, service_point

__all__ = ["ask_services", "watch"]

_EVERY_S = 10
_PATIENCE_S = 5.0


async def watch(settings: Settings, influx: Influx, health: Health, is_ours: Callable[[], bool]) -> NoReturn:
    """Look while it is this instance's turn; never ends but when cancelled.

    A look is of its moment: one that InfluxDB does not take at once is dropped, and counted.
    """
    while True:
        await asyncio.sleep(_EVERY_S - time.time() % _EVERY_S)
        if not is_ours():
            continue
        at = int(time.time()) // _EVERY_S * _EVERY_S * 1000
        lines = [*await _services(settings, at), *await _groups(settings, health, at)]
        dropped = await influx.offer(lines) if health.ready else lines
        health.count("looks_dropped", len(dropped))


async def ask_services(settings: Settings) -> dict[str, Vitals | None]:
    """What each service tells, by its address; None where none answers."""
    addresses = settings.service_addresses
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_PATIENCE_S)) as http:
        vitals = await asyncio.gather(*(_vitals(http, address) for address in addresses))
    return dict(zip(addresses, vitals, strict=True))


async def _services(settings: Settings, at: int) -> list[str]:
    return [service_point(address, vitals, at) for address, vitals in (await ask_services(settings)).items()]


async def _groups(settings: Settings, health: Health, at: int) -> list[str]:
    try:
        async with asyncio.timeout(3 * _PATIENCE_S):
            found = await read_backlogs(settings)
    except (KafkaError, TimeoutError) as error:
        health.fault(f"the groups' backlogs cannot be read: {error!r}")
        return []
    short = settings.topics.short
    return [lag_point(short(one.group), short(one.topic), one.records, round(one.seconds, 3), at) for one in found]


async def _vitals(http: aiohttp.ClientSession, address: str) -> Vitals | None:
    """The body says the same as the status, and more."""
    try:
        async with http.get(f"http://{address}/readyz") as answer:
            return msgspec.json.decode(await answer.read(), type=Vitals)
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
        return None
