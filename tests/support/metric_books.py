"""The books of metrics: what Kafka's records make of points, beside the points that InfluxDB holds."""

import asyncio
import re
from typing import Any, NamedTuple

from infra.influxql import query
from infra.kafka_records import read_records
from models.metrics.catalogue import MEASUREMENTS
from models.settings import Settings
from stream_processors.runtime.consumer_lag import reads
from stream_processors.runtime.health import Health
from stream_processors.sink.service import Points

__all__ = ["Book", "Key", "expected", "stored", "until_stored"]

_VALUE = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^,]+)')
_KEPT = [measurement for measurement in MEASUREMENTS if measurement.kept != "sample"]


class Key(NamedTuple):
    """What identifies a point."""

    measurement: str
    tags: frozenset[tuple[str, str]]
    time: int
    """ns since 1970"""


Book = dict[Key, dict[str, Any]]


async def expected(settings: Settings) -> Book:
    """Every point that the topics make now, closed periods alone."""
    points, book = Points(settings, Health("test", "1")), Book()
    for topic in reads(settings.topics)[settings.topics.sink_group]:
        lines, _ = points.of(await read_records(settings, topic))
        for line in lines:
            key, fields = _read(line)
            book[key] = fields
    return book


async def stored(settings: Settings) -> Book:
    """Every point that InfluxDB holds, looks apart."""
    book = Book()
    for measurement in _KEPT:
        names = [tag.name for tag in measurement.tags]
        for row in await query(settings, f'SELECT * FROM "autogen"."{measurement.name}" GROUP BY *'):
            tags = frozenset((name, row[name]) for name in names if row.get(name))
            fields = {field.name: row[field.name] for field in measurement.fields if row.get(field.name) is not None}
            book[Key(measurement.name, tags, row["time"])] = fields
    return book


async def until_stored(settings: Settings, within_s: float) -> tuple[Book, Book]:
    """Wait until InfluxDB holds what Kafka made before; returns both. It may hold more by then."""
    made = await expected(settings)
    async with asyncio.timeout(within_s):
        while not (made.keys() <= (held := await stored(settings)).keys()):
            await asyncio.sleep(0.5)
    return made, held


def _read(line: str) -> tuple[Key, dict[str, Any]]:
    """A line whose tags need no escaping, which is so for all of fairroll's names."""
    head, _, rest = line.partition(" ")
    body, _, at = rest.rpartition(" ")
    measurement, *tags = head.split(",")
    key = Key(measurement, frozenset((name, value) for name, _, value in (tag.partition("=") for tag in tags)), int(at))
    return key, {name: _value(text) for name, text in _VALUE.findall(body)}


def _value(text: str) -> Any:
    match text[-1]:
        case '"':
            return re.sub(r"\\(.)", r"\1", text[1:-1])
        case "i":
            return int(text[:-1])
        case "e":
            return text == "true"
        case _:
            return float(text)
