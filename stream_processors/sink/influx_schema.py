"""The schema of InfluxDB: retention, and hourly sums of points, as statements and resources. Pure.

Version 1 is set up with InfluxQL: retention policies and continuous queries. Version 2 is set up through its HTTP API:
buckets and tasks. A query finds the same in both: `"fairroll"."autogen"."requests"` are points,
`"fairroll"."hours"."requests"` their hourly sums, under the same names of fields and tags.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from models.metrics.catalogue import MEASUREMENTS
from models.metrics.schema import Field, Measurement
from models.metrics.storage import HOURS, POINTS, Storage, bucket_name

__all__ = [
    "HOURLY",
    "Downsampling",
    "Kind",
    "Resource",
    "Statement",
    "resources_2",
    "shadow_1",
    "shadow_2",
    "statements_1",
]

_DAY_S = 86_400


class Downsampling(NamedTuple):
    """Interval, width, and how far back: points that come later than that are not in the sums."""

    every: str = "30m"
    width: str = "1h"
    back: str = "49h"


HOURLY = Downsampling()


def _task_name(storage: Storage, measurement: Measurement) -> str:
    """Return the name of the query or task of a measurement; it contains the database, since the server is shared."""
    return f"{storage.database}_{HOURS}_{measurement.name}"


# -- version 1 ----------------------------------------------------------------------------------------


class Statement(NamedTuple):
    """InfluxQL that creates something, and the statements to run instead if the name exists."""

    create: str
    instead: tuple[str, ...] = ()


def statements_1(storage: Storage, sampling: Downsampling = HOURLY) -> list[Statement]:
    """Return the statements that set up a database of version 1, in order; they are idempotent."""
    return [
        Statement(f'CREATE DATABASE "{storage.database}"'),
        _policy_1(storage.database, POINTS, storage.days, is_default=True),
        _policy_1(storage.database, HOURS, storage.hours_days),
        *(_query_1(storage, measurement, sampling) for measurement in MEASUREMENTS if _sampled(measurement)),
    ]


def shadow_1(storage: Storage, policy: str) -> list[Statement]:
    """Return the statements for the retention policy of a shadow, which is never the default."""
    return [Statement(f'CREATE DATABASE "{storage.database}"'), _policy_1(storage.database, policy, storage.days)]


def _policy_1(database: str, name: str, days: int, *, is_default: bool = False) -> Statement:
    rest = f'"{name}" ON "{database}" DURATION {days}d REPLICATION 1{" DEFAULT" if is_default else ""}'
    return Statement(f"CREATE RETENTION POLICY {rest}", (f"ALTER RETENTION POLICY {rest}",))


def _query_1(storage: Storage, measurement: Measurement, sampling: Downsampling) -> Statement:
    name, database = _task_name(storage, measurement), storage.database
    chosen = ", ".join(f'{field.hourly}("{field.name}") AS "{field.name}"' for field in _sampled(measurement))
    into, points = (f'"{database}"."{policy}"."{measurement.name}"' for policy in (HOURS, POINTS))
    select = f"SELECT {chosen} INTO {into} FROM {points}"  # noqa: S608 - names of ours
    resample = f"RESAMPLE EVERY {sampling.every} FOR {sampling.back}"
    body = f"BEGIN {select} GROUP BY time({sampling.width}), * END"
    create = f'CREATE CONTINUOUS QUERY "{name}" ON "{database}" {resample} {body}'
    return Statement(create, (f'DROP CONTINUOUS QUERY "{name}" ON "{database}"', create))


# -- version 2 ----------------------------------------------------------------------------------------

Kind = Literal["buckets", "tasks"]


class Resource(NamedTuple):
    """A bucket or a task of version 2, as its API accepts it."""

    kind: Kind
    name: str
    body: dict[str, Any]

    def is_like(self, found: Mapping[str, Any]) -> bool:
        """Return whether the resource that the API returned needs no change."""
        if self.kind == "tasks":
            return self.body.items() <= found.items()
        return [rule["everySeconds"] for rule in found["retentionRules"]] == [
            rule["everySeconds"] for rule in self.body["retentionRules"]
        ]


def resources_2(storage: Storage, sampling: Downsampling = HOURLY) -> list[Resource]:
    """Return the resources that an organisation of version 2 needs, in order."""
    return [
        _bucket_2(bucket_name(storage.database, POINTS), storage.days),
        _bucket_2(bucket_name(storage.database, HOURS), storage.hours_days),
        *(_task_2(storage, measurement, sampling) for measurement in MEASUREMENTS if _sampled(measurement)),
    ]


def shadow_2(storage: Storage, policy: str) -> list[Resource]:
    """Return the bucket of a shadow."""
    return [_bucket_2(bucket_name(storage.database, policy), storage.days)]


def _bucket_2(name: str, days: int) -> Resource:
    rules = [{"type": "expire", "everySeconds": days * _DAY_S}]
    return Resource("buckets", name, {"name": name, "retentionRules": rules})


def _task_2(storage: Storage, measurement: Measurement, sampling: Downsampling) -> Resource:
    name = _task_name(storage, measurement)
    return Resource("tasks", name, {"flux": _flux(name, storage, measurement, sampling), "status": "active"})


def _flux(name: str, storage: Storage, measurement: Measurement, sampling: Downsampling) -> str:
    """Return the Flux of a task: one stream per function. An hour has the time of its start, as in InfluxQL."""
    source, target = (bucket_name(storage.database, policy) for policy in (POINTS, HOURS))
    points = (
        f'points = from(bucket: "{source}")'
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
            f' |> to(bucket: "{target}") |> yield(name: "{function}")'
        )
    option = f'option task = {{name: "{name}", every: {sampling.every}}}'
    return "\n".join(('import "date"', option, points, *streams))


def _sampled(measurement: Measurement) -> list[Field]:
    return [field for field in measurement.fields if field.hourly]
