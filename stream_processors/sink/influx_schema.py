"""What InfluxDB must have before metrics come: retention, and hours made of points. Pure: statements and requests.

Version 1 does it in InfluxQL, by retention policies and continuous queries; version 2 by its HTTP API, with buckets and
tasks. Both end up alike for whoever reads: `"fairroll"."autogen"."requests"` are points,
`"fairroll"."hours"."requests"` their hours, under the same names of fields and tags.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from models.metrics.catalogue import MEASUREMENTS
from models.metrics.schema import Field, Measurement
from models.settings import Settings

__all__ = [
    "HOURLY",
    "HOURS",
    "Call",
    "Downsampling",
    "Place",
    "Statement",
    "calls_2",
    "shadow_1",
    "shadow_2",
    "statements_1",
]

HOURS = "hours"
"""The retention policy of the hours in version 1, and the end of their bucket's name in version 2."""
_DAY_S = 86_400


class Place(NamedTuple):
    """Where points are kept, and for how long."""

    database: str
    policy: str
    days: int
    hours_days: int

    @classmethod
    def of(cls, settings: Settings) -> "Place":
        """Tell it by the bucket, which is `database` or, as version 2's mapping has it, `database/policy`."""
        database, _, policy = settings.influx_bucket.partition("/")
        return cls(database, policy or "autogen", settings.metrics_days, settings.metrics_hours_days)

    @property
    def bucket(self) -> str:
        return self.database if self.policy == "autogen" else f"{self.database}/{self.policy}"

    @property
    def hours_bucket(self) -> str:
        """A name with a slash: version 2 serves it to InfluxQL as a retention policy of the database."""
        return f"{self.database}/{HOURS}"


class Downsampling(NamedTuple):
    """How often, of what length, how far back: so long an outage still comes into the hours."""

    every: str = "30m"
    width: str = "1h"
    back: str = "49h"


HOURLY = Downsampling()


class Statement(NamedTuple):
    """InfluxQL that makes something, and what to do instead where another of its name exists."""

    make: str
    instead: tuple[str, ...] = ()


class Call(NamedTuple):
    """A request to version 2's API."""

    method: str
    path: str
    body: dict[str, Any]


# -- version 1 ----------------------------------------------------------------------------------------


def statements_1(place: Place, sampling: Downsampling = HOURLY) -> list[Statement]:
    """All that makes a database of version 1 ready, in order; repeating it is harmless."""
    return [
        Statement(f'CREATE DATABASE "{place.database}"'),
        _policy_1(place.database, place.policy, place.days, is_default=True),
        _policy_1(place.database, HOURS, place.hours_days),
        *(_query_1(place, measurement, sampling) for measurement in MEASUREMENTS if _sampled(measurement)),
    ]


def shadow_1(place: Place) -> list[Statement]:
    """The place of a shadow: a retention policy beside that of the metrics, and nobody's default."""
    policy = _policy_1(place.database, place.policy, place.days)
    return [Statement(f'CREATE DATABASE "{place.database}"'), policy]


def _policy_1(database: str, name: str, days: int, *, is_default: bool = False) -> Statement:
    rest = f'"{name}" ON "{database}" DURATION {days}d REPLICATION 1{" DEFAULT" if is_default else ""}'
    return Statement(f"CREATE RETENTION POLICY {rest}", (f"ALTER RETENTION POLICY {rest}",))


def _query_1(place: Place, measurement: Measurement, sampling: Downsampling) -> Statement:
    name, database = f"fairroll_{HOURS}_{measurement.name}", place.database
    chosen = ", ".join(f'{field.hourly}("{field.name}") AS "{field.name}"' for field in _sampled(measurement))
    into, points = (f'"{database}"."{policy}"."{measurement.name}"' for policy in (HOURS, place.policy))
    select = f"SELECT {chosen} INTO {into} FROM {points}"  # noqa: S608 - names of ours
    resample = f"RESAMPLE EVERY {sampling.every} FOR {sampling.back}"
    body = f"BEGIN {select} GROUP BY time({sampling.width}), * END"
    make = f'CREATE CONTINUOUS QUERY "{name}" ON "{database}" {resample} {body}'
    return Statement(make, (f'DROP CONTINUOUS QUERY "{name}" ON "{database}"', make))


# -- version 2 ----------------------------------------------------------------------------------------


def calls_2(
    place: Place,
    org: tuple[str, str],
    buckets: Mapping[str, str],
    tasks: Mapping[str, str],
    sampling: Downsampling = HOURLY,
) -> list[Call]:
    """All that makes an organisation of version 2 ready; repeating it is harmless.

    `org` is its name and id; `buckets` and `tasks` are those that it has, name to id.
    """
    name, org_id = org
    return [
        _bucket_2(place.bucket, place.days, org_id, buckets),
        _bucket_2(place.hours_bucket, place.hours_days, org_id, buckets),
        *(_task_2(place, m, name, org_id, tasks, sampling) for m in MEASUREMENTS if _sampled(m)),
    ]


def shadow_2(place: Place, org_id: str, buckets: Mapping[str, str]) -> list[Call]:
    """The bucket of a shadow."""
    return [_bucket_2(place.bucket, place.days, org_id, buckets)]


def _bucket_2(name: str, days: int, org_id: str, buckets: Mapping[str, str]) -> Call:
    rules = [{"type": "expire", "everySeconds": days * _DAY_S}]
    if name in buckets:
        return Call("PATCH", f"/api/v2/buckets/{buckets[name]}", {"retentionRules": rules})
    return Call("POST", "/api/v2/buckets", {"orgID": org_id, "name": name, "retentionRules": rules})


def _task_2(
    place: Place, measurement: Measurement, org: str, org_id: str, tasks: Mapping[str, str], sampling: Downsampling
) -> Call:
    name = f"{place.bucket}_{HOURS}_{measurement.name}"  # tasks belong to the organisation, not to a bucket
    body = {"flux": _flux(name, place, measurement, org, sampling), "status": "active"}
    if name in tasks:
        return Call("PATCH", f"/api/v2/tasks/{tasks[name]}", body)
    return Call("POST", "/api/v2/tasks", {"orgID": org_id, **body})


def _flux(name: str, place: Place, measurement: Measurement, org: str, sampling: Downsampling) -> str:
    """One stream for each way of summing up. An hour carries the time of its beginning, as in InfluxQL."""
    points = (
        f'points = from(bucket: "{place.bucket}")'
        f" |> range(start: date.truncate(t: -{sampling.back}, unit: {sampling.width}))"
        f' |> filter(fn: (r) => r._measurement == "{measurement.name}")'
    )
    streams = []
    for function in sorted({str(field.hourly) for field in _sampled(measurement)}):
        names = [field.name for field in _sampled(measurement) if field.hourly == function]
        chosen = " or ".join(f'r._field == "{field}"' for field in names)
        streams.append(
            f"points |> filter(fn: (r) => {chosen})"
            f' |> aggregateWindow(every: {sampling.width}, fn: {function}, timeSrc: "_start", createEmpty: false)'
            f' |> to(bucket: "{place.hours_bucket}", org: "{org}") |> yield(name: "{function}")'
        )
    option = f'option task = {{name: "{name}", every: {sampling.every}}}'
    return "\n".join(('import "date"', option, points, *streams))


def _sampled(measurement: Measurement) -> list[Field]:
    return [field for field in measurement.fields if field.hourly]
