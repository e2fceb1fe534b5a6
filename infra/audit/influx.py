"""Audits InfluxDB: every name, tag and text in every retention policy of the metrics' database.

Version 2 answers SHOW MEASUREMENTS, TAG KEYS and TAG VALUES for the default policy only. SHOW FIELD KEYS and SELECT use
the named policy, in version 1 as well.
"""

from collections.abc import Iterable
from typing import Final

import aiohttp
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.rest import ApiException

from grafana.answers import Series
from infra.audit.judgement import Tally, Where
from infra.audit.places import Unread
from infra.audit.report import UNREAD, Report
from infra.influxql import query, read_series
from models.errors import FairrollError
from models.metrics.catalogue import AUDITS, MEASUREMENTS
from models.metrics.storage import HOURS, POINTS, bucket_name
from models.settings import Settings
from stream_processors.sink.influx_api import InfluxRefused, open_api

__all__ = ["NotPublished", "hidden_buckets", "publish", "read_influx"]

_TAGS: Final = {tag.name for measurement in MEASUREMENTS for tag in measurement.tags}
"""The known tags; any other could identify a visitor."""
_TIMEOUT_MS = 10_000


class NotPublished(FairrollError):
    """The result cannot be published for Grafana."""

    exit_code = UNREAD


async def read_influx(settings: Settings, tally: Tally) -> None:
    """Read tag names and values and the distinct values of text fields, in each retention policy."""
    try:
        policies = [row["name"] for row in await query(settings, "SHOW RETENTION POLICIES")]
        for policy in policies:
            for fields in await read_series(settings, f"SHOW FIELD KEYS FROM {_quoted(policy)}./.*/"):
                await _read(settings, policy, fields, tally)
        hidden = await _hidden(settings)
    except InfluxRefused as error:
        raise Unread(f"InfluxDB: {error}") from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unread(f"InfluxDB at {settings.influx_url} (FAIRROLL_INFLUX_URL): {str(error) or repr(error)}") from None
    if hidden:
        raise Unread(f"no InfluxQL reaches {', '.join(hidden)}: the token may not read it, or a DBRP mapping hides it")


async def _read(settings: Settings, policy: str, fields: Series, tally: Tally) -> None:
    """Read a measurement of one policy; `fields` is its first series."""
    source, place = f"{_quoted(policy)}.{_quoted(fields.name)}", f"{policy}.{fields.name}"
    tally.scan_name(Where(f"measurement {place}"), fields.name.encode())
    one_of_each = f"SELECT * FROM {source} GROUP BY * LIMIT 1"  # noqa: S608 - quoted
    _judge_tags(place, await read_series(settings, one_of_each), tally)
    for field, kind in fields.values:
        tally.scan_name(Where(f"{place}, field {field}"), field.encode())
        if kind == "string":
            texts = f"SELECT DISTINCT({_quoted(field)}) FROM {source}"  # noqa: S608 - quoted
            for value in await query(settings, texts):
                tally.scan(Where(f"{place}, field {field}"), str(value["distinct"]).encode())


def _judge_tags(place: str, found: Iterable[Series], tally: Tally) -> None:
    """Judge each tag and each of its values once, for any number of series."""
    values = sorted({pair for series in found for pair in series.tags.items() if pair[1]})
    for tag in sorted({tag for tag, _ in values} - _TAGS):
        tally.find("unknown", f"{place}, tag {tag}", "a tag that metrics do not have", tag.encode())
        tally.scan_name(Where(f"{place}, tag {tag}"), tag.encode())
    for tag, value in values:
        tally.scan(Where(f"{place}, tag {tag}"), value.encode())


async def _hidden(settings: Settings) -> list[str]:
    """Return the buckets of version 2 that were not read; version 1 lists all of its retention policies."""
    async with open_api(settings) as api:
        if (await api.version()).lstrip("v").startswith("1."):
            return []
        return hidden_buckets(settings.influx_bucket, await api.buckets(), await api.policies(settings.influx_bucket))


def hidden_buckets(database: str, buckets: dict[str, str], policies: dict[str, str]) -> list[str]:
    """Return our buckets that are no retention policy in InfluxQL; both arguments are name to id."""
    ours = {name for name in buckets if name == database or name.startswith(f"{database}/")}
    ours |= {bucket_name(database, policy) for policy in (POINTS, HOURS)}
    mapped = set(policies.values())
    return sorted(name for name in ours if buckets.get(name) not in mapped)


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
