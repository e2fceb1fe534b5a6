"""InfluxDB: every name, every tag and every text that the metrics' database holds."""

from typing import Any, Final

import aiohttp
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.rest import ApiException

from infra.audit.reading import Unread
from infra.audit.report import Report
from infra.audit.tally import Tally, Where
from infra.influxql import query
from models.errors import FairrollError
from models.settings import Settings

__all__ = ["NotPublished", "publish", "read_influx"]

TAGS: Final = {"site", "device", "by", "outcome", "reason", "identity", "model", "what"}
"""The tags of stream_processors/points.py: no other can be told from a visitor."""
_TIMEOUT_MS = 10_000


class NotPublished(FairrollError):
    """Nobody will see the audit in Grafana."""


async def read_influx(settings: Settings, tally: Tally) -> None:
    """Look at each measurement's tags and their values, and at each text field's distinct values."""
    try:
        for row in await query(settings, "SHOW MEASUREMENTS"):
            await _read(settings, row["name"], tally)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unread(f"InfluxDB at {settings.influx_url} (FAIRROLL_INFLUX_URL): {error or error!r}") from None


async def _read(settings: Settings, measurement: str, tally: Tally) -> None:
    name = _quoted(measurement)
    _scan(tally, measurement, measurement)
    for row in await query(settings, f"SHOW TAG KEYS FROM {name}"):
        tag = row["tagKey"]
        if tag not in TAGS:
            tally.find("unknown", f"{measurement}, tag {tag}", "a tag that metrics do not have", tag.encode())
        for value in await query(settings, f"SHOW TAG VALUES FROM {name} WITH KEY = {_quoted(tag)}"):
            _scan(tally, f"{measurement}, tag {tag}", value["value"])
    for row in await query(settings, f"SHOW FIELD KEYS FROM {name}"):
        field = row["fieldKey"]
        _scan(tally, f"{measurement}, fields", field)
        if row["fieldType"] == "string":
            for policy in await query(settings, "SHOW RETENTION POLICIES"):
                source = f"{_quoted(policy['name'])}.{name}"
                values = await query(settings, f"SELECT DISTINCT({_quoted(field)}) FROM {source}")  # noqa: S608 - quoted
                for value in values:
                    _scan(tally, f"{measurement}, field {field}", value["distinct"])


def _scan(tally: Tally, where: str, value: Any) -> None:
    """A name without separators around it is one as well."""
    tally.scan(Where(where), str(value).encode())


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


async def publish(settings: Settings, report: Report) -> None:
    """Write the audit as one point of `audits`. Raises NotPublished."""
    oldest_s = max((place.oldest_s for place in report.places if place.oldest_s is not None), default=0.0)
    fields = f"findings={report.count}i,places={len(report.places)}i,unread={len(report.unread)}i,oldest_s={oldest_s}"
    try:
        async with InfluxDBClientAsync(
            settings.influx_url, settings.influx_token, settings.influx_org, timeout=_TIMEOUT_MS
        ) as influx:
            line = f"audits {fields} {int(report.at * 1e9)}"
            await influx.write_api().write(settings.influx_bucket, record=line)
    except (ApiException, aiohttp.ClientError, TimeoutError) as error:
        raise NotPublished(f"the audit is not in InfluxDB at {settings.influx_url}: {error!r}") from None
