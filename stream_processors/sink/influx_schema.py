"""What InfluxDB must have before metrics come: retention, and hourly sums of points. Pure: statements and resources.

Version 1 is set up with InfluxQL: retention policies and continuous queries. Version 2 is set up through its HTTP API:
buckets and tasks. A reader finds the same in both: `"fairroll"."autogen"."requests"` are points,
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
    """How often, of what length, how far back: points that are so late still come into the sums."""

    every: str = "30m"
    width: str = "1h"
    back: str = "49h"


HOURLY = Downsampling()


def _task_name(storage: Storage, measurement: Measurement) -> str:
    """The name of the query or task that sums up a measurement; it names the database, which shares the server."""
    return f"{storage.database}_{HOURS}_{measurement.name}"


# -- version 1 ----------------------------------------------------------------------------------------


class Statement(NamedTuple):
    """InfluxQL that creates something, and what to run instead where something of its name exists."""

    create: str
    instead: tuple[str, ...] = ()


def statements_1(storage: Storage, sampling: Downsampling = HOURLY) -> list[Statement]:
    """All that a database of version 1 needs, in order; repeating it is harmless."""
    return [
        Statement(f'CREATE DATABASE "{storage.database}"'),
        _policy_1(storage.database, POINTS, storage.days, is_default=True),
        _policy_1(storage.database, HOURS, storage.hours_days),
        *(_query_1(storage, measurement, sampling) for measurement in MEASUREMENTS if _sampled(measurement)),
    ]


def shadow_1(storage: Storage, policy: str) -> list[Statement]:
    """The retention policy of a shadow, which is never the default."""
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
    """A bucket or a task of version 2, as its API takes it."""

    kind: Kind
    name: str
    body: dict[str, Any]

    def is_like(self, found: Mapping[str, Any]) -> bool:
        """Whether the one that the API returns under this name needs no change."""
        if self.kind == "tasks":
            return self.body.items() <= found.items()
        return [rule["everySeconds"] for rule in found["retentionRules"]] == [
            rule["everySeconds"] for rule in self.body["retentionRules"]
        ]


def resources_2(storage: Storage, sampling: Downsampling = HOURLY) -> list[Resource]:
    """All that an organisation of version 2 needs, in order."""
    return [
        _bucket_2(bucket_name(storage.database, POINTS), storage.days),
        _bucket_2(bucket_name(storage.database, HOURS), storage.hours_days),
        *(_task_2(storage, measurement, sampling) for measurement in MEASUREMENTS if _sampled(measurement)),
    ]


def shadow_2(storage: Storage, policy: str) -> list[Resource]:
    """The bucket of a shadow."""
    return [_bucket_2(bucket_name(storage.database, policy), storage.days)]


def _bucket_2(name: str, days: int) -> Resource:
    rules = [{"type": "expire", "everySeconds": days * _DAY_S}]
    return Resource("buckets", name, {"name": name, "retentionRules": rules})


def _task_2(storage: Storage, measurement: Measurement, sampling: Downsampling) -> Resource:
    name = _task_name(storage, measurement)
    return Resource("tasks", name, {"flux": _flux(name, storage, measurement, sampling), "status": "active"})


def _flux(name: str, storage: Storage, measurement: Measurement, sampling: Downsampling) -> str:
    """One stream for each way of summing up. An hour carries the time of its beginning, as in InfluxQL."""
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
