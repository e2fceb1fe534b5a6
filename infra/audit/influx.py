"""InfluxDB: every name, every tag and every text that the metrics' database holds."""

from collections.abc import Sequence
from typing import Final

import aiohttp
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.rest import ApiException

from infra.audit.judgement import Tally, Where
from infra.audit.places import Unread
from infra.audit.report import UNREAD, Report
from infra.influxql import query
from models.errors import FairrollError
from models.metrics.catalogue import AUDITS, MEASUREMENTS
from models.settings import Settings

__all__ = ["NotPublished", "publish", "read_influx"]

_TAGS: Final = {tag.name for measurement in MEASUREMENTS for tag in measurement.tags}
"""Any other could be a visitor."""
_TIMEOUT_MS = 10_000


class NotPublished(FairrollError):
    """Nobody will see the audit in Grafana, whatever it found."""

    exit_code = UNREAD


async def read_influx(settings: Settings, tally: Tally) -> None:
    """Look at each measurement's tags and their values, and at each text field's distinct values."""
    try:
        policies = [row["name"] for row in await query(settings, "SHOW RETENTION POLICIES")]
        for row in await query(settings, "SHOW MEASUREMENTS"):
            await _read(settings, row["name"], policies, tally)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unread(f"InfluxDB at {settings.influx_url} (FAIRROLL_INFLUX_URL): {str(error) or repr(error)}") from None


async def _read(settings: Settings, measurement: str, policies: Sequence[str], tally: Tally) -> None:
    name = _quoted(measurement)
    tally.scan_name(Where(f"measurement {measurement}"), measurement.encode())
    for row in await query(settings, f"SHOW TAG KEYS FROM {name}"):
        tag = row["tagKey"]
        if tag not in _TAGS:
            tally.find("unknown", f"{measurement}, tag {tag}", "a tag that metrics do not have", tag.encode())
            tally.scan_name(Where(f"{measurement}, tag {tag}"), tag.encode())
        for value in await query(settings, f"SHOW TAG VALUES FROM {name} WITH KEY = {_quoted(tag)}"):
            tally.scan(Where(f"{measurement}, tag {tag}"), str(value["value"]).encode())
    for row in await query(settings, f"SHOW FIELD KEYS FROM {name}"):
        field = row["fieldKey"]
        tally.scan_name(Where(f"{measurement}, field {field}"), field.encode())
        if row["fieldType"] == "string":
            for policy in policies:
                texts = f"SELECT DISTINCT({_quoted(field)}) FROM {_quoted(policy)}.{name}"  # noqa: S608 - quoted
                for value in await query(settings, texts):
                    tally.scan(Where(f"{measurement}, field {field}"), str(value["distinct"]).encode())


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


async def publish(settings: Settings, report: Report) -> None:
    """Write the audit as one point of `audits`. Raises NotPublished."""
    fields = {
        "findings": report.count,
        "unread": len(report.unread),
        "places": len(report.places),
        "oldest_s": report.oldest_s,
    }
    line = AUDITS.line(int(report.at * 1e9), {}, fields)
    try:
        async with InfluxDBClientAsync(
            settings.influx_url, settings.influx_token, settings.influx_org, timeout=_TIMEOUT_MS
        ) as influx:
            await influx.write_api().write(settings.influx_bucket, record=line)
    except (ApiException, aiohttp.ClientError, TimeoutError) as error:
        raise NotPublished(f"the audit is not in InfluxDB at {settings.influx_url}: {error!r}") from None
