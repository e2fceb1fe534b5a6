"""A seeded city, and how many series its metrics have: bounded by its dispensers, whoever and however many come."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random

from msgspec import Struct

from infra.influxql import query
from infra.local.ports import Ports
from infra.local.stack import LocalStack
from models.contract.codec import encode
from models.contract.messages import ButtonPressed, DeviceState, Dispensed, FaceSeen, Stock
from models.ledger.events import Reported, Requested
from models.metrics.catalogue import REQUESTS
from models.settings import Settings
from stream_processors.runtime.kafka import open_producer
from tests.experiments.replay_proof.stage import decide

__all__ = ["MOST_GROWTH", "City", "Counted", "grow"]

MOST_GROWTH = 1.05
"""A rare kind of answer may come late; a series a visitor would make it four times as many."""

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
    series: int
    points: int
    """of requests: what is told of them all"""


async def grow(folder: Path, city: City) -> list[Counted]:
    """Let them come, part by part."""
    (folder / "sites.toml").write_text("".join(_table(site, city) for site in _sites(city)))
    environ = {
        "FAIRROLL_SITES": str(folder / "sites.toml"),
        "FAIRROLL_METRICS_PERIOD_S": str(_PERIOD_S),
        "FAIRROLL_METRICS_K": "1",  # the most series that there can be: no cell is left out
    }
    counted: list[Counted] = []
    async with LocalStack(folder, parts=_PARTS, ports=Ports.free(), environ=environ) as stack:
        await _come_online(stack.settings, city)
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


def _visits(city: City, first: int, number: int) -> Iterator[Requested | Reported]:
    """Every dispenser tells its stock once; then people come, each with a face of their own."""
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
    """Once all of them are told of."""
    told = 0
    async with asyncio.timeout(_WITHIN_S):
        while told < visitors:
            await asyncio.sleep(1)
            rows = await query(settings, f'SELECT sum("{REQUESTS["n"].name}") AS n FROM "{REQUESTS.name}"')
            told = int(rows[0]["n"]) if rows else 0
    measurements = await query(settings, f'SHOW SERIES EXACT CARDINALITY ON "{settings.influx_bucket}"')
    return Counted(visitors=visitors, series=sum(int(row["count"]) for row in measurements), points=told)
