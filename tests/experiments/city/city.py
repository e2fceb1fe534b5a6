"""A seeded city, and how many series its metrics have: bounded by its dispensers, not by visitors."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

from msgspec import Struct

from infra.influxql import query, read_series
from infra.local.ports import Ports
from infra.local.stack import LocalStack
from models.contract.codec import encode
from models.contract.messages import ButtonPressed, DeviceState, Dispensed, FaceSeen, Stock
from models.ledger.events import Reported, Requested
from models.metrics.catalogue import MEASUREMENTS, REQUESTS
from models.settings import Settings
from stream_processors.runtime.kafka import open_producer
from stream_processors.runtime.key_client import read_facts
from tests.experiments.replay_proof.stage import decide

__all__ = ["City", "Counted", "grow", "most_series"]

_SAMPLED = {measurement.name for measurement in MEASUREMENTS if measurement.kept == "sample"}
"""Their series are those of services and consumer groups, and are there once they were sampled."""

_PARTS = ("mosquitto", "kafka", "influxd", "gateway", "keyholder", "decider", "sink")
_PERIOD_S = 2
_WITHIN_S = 300.0
_REPORTED = 8
"""One request in so many has its motor's report: what a report's point is made of stays the same."""
_STOCK_CM = 30_000


class City(Struct, frozen=True, kw_only=True):
    """Who comes, and where. Every visitor asks once."""

    sites: int = 200
    dispensers: int = 10
    """at each site"""
    visitors: int = 100_000
    parts: int = 4
    """in which they come; series are counted after each"""
    seed: int = 1


class Counted(Struct, frozen=True, kw_only=True):
    """What InfluxDB has after a part of the visitors."""

    visitors: int
    series: dict[str, int]
    """by measurement, of those that are made of records"""
    points: int
    """of requests: the published total"""

    @property
    def total(self) -> int:
        return sum(self.series.values())

    def beyond(self, most: Mapping[str, int]) -> dict[str, int]:
        """The measurements that have more series than that, or that should not be there."""
        return {name: number for name, number in self.series.items() if number > most.get(name, 0)}


def most_series(city: City) -> dict[str, int]:
    """By measurement: all that sites and dispensers can have here, of which there are far fewer than visitors."""
    dispensers = city.sites * city.dispensers
    return {
        "requests": city.sites,
        "answers": 3 * city.sites,  # dispensed by face, by button; refused to a face that resembles another
        "faces": 3 * city.sites,  # new; in doubt or the same, where two resemble each other
        "sites": city.sites,
        "controls": city.sites,
        "devices": dispensers,
        "reports": 2 * dispensers,  # stock, dispensed
    }


async def grow(folder: Path, city: City) -> list[Counted]:
    """Let them come, part by part."""
    (folder / "sites.toml").write_text("".join(_table(site, city) for site in _sites(city)))
    environ = {
        "FAIRROLL_SITES": str(folder / "sites.toml"),
        "FAIRROLL_METRICS_PERIOD_S": str(_PERIOD_S),
        "FAIRROLL_METRICS_K": "1",  # the most series that there can be: no cell is left out
    }
    counted: list[Counted] = []
    async with LocalStack(folder, programs=_PARTS, ports=Ports.free(), environ=environ) as stack:
        await _come_online(stack.settings, city)
        await _until_every_site_has_a_key(stack.settings, city)
        each = city.visitors // city.parts
        for part in range(city.parts):
            await decide(stack.settings, _visits(city, part * each, each))
            counted.append(await _count(stack.settings, (part + 1) * each))
    return counted


def _sites(city: City) -> list[str]:
    return [f"site-{number:03}" for number in range(city.sites)]


def _devices(city: City) -> list[str]:
    return [f"d{number:02}" for number in range(city.dispensers)]


def _table(site: str, city: City) -> str:
    devices = ", ".join(f'"{device}"' for device in _devices(city))
    policy = "button_budget_cm = 100000\ndispenser_limit_cm = 100000\n"
    return f'[sites.{site}]\nmode = "face"\nsimulated = true\ndevices = [{devices}]\n[sites.{site}.policy]\n{policy}'


async def _come_online(settings: Settings, city: City) -> None:
    state = encode(DeviceState(online=True, firmware="city", mode="face", model="synthetic/1"))
    async with open_producer(settings) as producer:
        for site in _sites(city):
            for device in _devices(city):
                await producer.send(settings.topics.states, state, key=f"{site}/{device}".encode())
        await producer.flush()


async def _until_every_site_has_a_key(settings: Settings, city: City) -> None:
    """Before that a template cannot be sealed, and its face is unreadable to the decider."""
    async with asyncio.timeout(_WITHIN_S):
        while True:
            facts = await read_facts(settings)
            if facts and all(site in facts.sites and facts.sites[site].chain for site in _sites(city)):
                return
            await asyncio.sleep(0.2)


def _visits(city: City, first: int, number: int) -> Iterator[Requested | Reported]:
    """Every dispenser reports its stock once; then visitors come, each with a face of their own."""
    lots = Random(f"{city.seed}/{first}")
    places = [(site, device) for site in _sites(city) for device in _devices(city)]
    for site, device in places if first == 0 else ():
        yield Reported(site=site, device=device, report=Stock(number=1, cm=_STOCK_CM))
    for visitor in range(first, first + number):
        site, device = places[visitor] if visitor < len(places) else lots.choice(places)
        request = f"visitor-{city.seed}-{visitor:010}"
        face = FaceSeen(id=request, model="synthetic/1", template=lots.randbytes(64))
        asked = face if lots.random() < 0.9 else ButtonPressed(id=request)
        yield Requested(site=site, device=device, request=asked)
        if visitor < len(places) or visitor % _REPORTED == 0:
            yield Reported(site=site, device=device, report=Dispensed(number=2 + visitor, request=request, cm=60))


async def _count(settings: Settings, visitors: int) -> Counted:
    """Wait until all of them are published."""
    published = 0
    async with asyncio.timeout(_WITHIN_S):
        while published < visitors:
            await asyncio.sleep(1)
            rows = await query(settings, f'SELECT sum("{REQUESTS["n"].name}") AS n FROM "{REQUESTS.name}"')
            published = int(rows[0]["n"]) if rows else 0
    counts = await read_series(settings, f'SHOW SERIES EXACT CARDINALITY ON "{settings.influx_bucket}"')
    series = {one.name: int(one.of("count")[0]) for one in counts if one.name not in _SAMPLED}
    return Counted(visitors=visitors, series=series, points=published)
