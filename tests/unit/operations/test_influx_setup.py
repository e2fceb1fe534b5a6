"""What makes InfluxDB ready: statements for version 1, requests for version 2."""

import re

from models.metrics.catalogue import MEASUREMENTS
from models.settings import Settings
from stream_processors.sink.influx_schema import Call, Place, calls_2, shadow_1, shadow_2, statements_1

PLACE = Place.of(Settings(metrics_days=30, metrics_hours_days=730))
ORG = ("fairroll", "0a1b")
EVENTS_ALONE = {"devices", "controls", "receipts", "shadow"}
"""states and annotations, of which an hour means nothing; and a shadow, which has its own place"""


def test_a_bucket_may_name_a_retention_policy() -> None:
    place = Place.of(Settings(influx_bucket="city/paper"))
    assert (place.database, place.policy, place.bucket, place.hours_bucket) == (
        "city",
        "paper",
        "city/paper",
        "city/hours",
    )
    assert (PLACE.bucket, PLACE.hours_bucket) == ("fairroll", "fairroll/hours")


def test_version_1_gets_a_database_two_policies_and_a_query_for_each_measurement_that_has_hours() -> None:
    database, points, hours, *queries = statements_1(PLACE)
    assert database.make == 'CREATE DATABASE "fairroll"'
    assert points.make == 'CREATE RETENTION POLICY "autogen" ON "fairroll" DURATION 30d REPLICATION 1 DEFAULT'
    assert hours.instead == ('ALTER RETENTION POLICY "hours" ON "fairroll" DURATION 730d REPLICATION 1',)
    names = {re.findall(r'"fairroll_hours_(\w+)"', query.make)[0] for query in queries}
    assert names == {measurement.name for measurement in MEASUREMENTS} - EVENTS_ALONE
    [answers] = [query for query in queries if "hours_answers" in query.make]
    assert answers.make == (
        'CREATE CONTINUOUS QUERY "fairroll_hours_answers" ON "fairroll" RESAMPLE EVERY 30m FOR 49h BEGIN'
        ' SELECT sum("n") AS "n", sum("cm") AS "cm", sum("erased") AS "erased"'
        ' INTO "fairroll"."hours"."answers" FROM "fairroll"."autogen"."answers" GROUP BY time(1h), * END'
    )
    assert answers.instead == ('DROP CONTINUOUS QUERY "fairroll_hours_answers" ON "fairroll"', answers.make)


def test_version_2_gets_two_buckets_and_a_task_for_each_measurement_that_has_hours() -> None:
    points, hours, *tasks = calls_2(PLACE, ORG, {}, {})
    assert points == Call(
        "POST",
        "/api/v2/buckets",
        {"orgID": "0a1b", "name": "fairroll", "retentionRules": [{"type": "expire", "everySeconds": 2_592_000}]},
    )
    assert hours.body["name"] == "fairroll/hours"
    assert len(tasks) == len(MEASUREMENTS) - len(EVENTS_ALONE)
    [requests] = [
        task for task in tasks if "hours-requests" in task.body["flux"] or "hours_requests" in task.body["flux"]
    ]
    assert (requests.method, requests.path, requests.body["orgID"]) == ("POST", "/api/v2/tasks", "0a1b")
    assert requests.body["flux"].splitlines() == [
        'import "date"',
        'option task = {name: "fairroll_hours_requests", every: 30m}',
        (
            'points = from(bucket: "fairroll") |> range(start: date.truncate(t: -49h, unit: 1h))'
            ' |> filter(fn: (r) => r._measurement == "requests")'
        ),
        (
            'points |> filter(fn: (r) => r._field == "p95_ms" or r._field == "p99_ms" or r._field == "max_ms")'
            ' |> aggregateWindow(every: 1h, fn: max, timeSrc: "_start", createEmpty: false)'
            ' |> to(bucket: "fairroll/hours", org: "fairroll") |> yield(name: "max")'
        ),
        (
            'points |> filter(fn: (r) => r._field == "p50_ms")'
            ' |> aggregateWindow(every: 1h, fn: mean, timeSrc: "_start", createEmpty: false)'
            ' |> to(bucket: "fairroll/hours", org: "fairroll") |> yield(name: "mean")'
        ),
        (
            'points |> filter(fn: (r) => r._field == "n" or r._field == "suppressed"'
            ' or r._field == "suppressed_faces" or r._field == "repeats")'
            ' |> aggregateWindow(every: 1h, fn: sum, timeSrc: "_start", createEmpty: false)'
            ' |> to(bucket: "fairroll/hours", org: "fairroll") |> yield(name: "sum")'
        ),
    ]


def test_what_version_2_has_is_changed_and_not_made_twice() -> None:
    made = calls_2(PLACE, ORG, {}, {})
    tasks = {re.findall(r'name: "(fairroll_\w+)"', call.body["flux"])[0]: f"t{n}" for n, call in enumerate(made[2:])}
    again = calls_2(PLACE, ORG, {"fairroll": "b1", "fairroll/hours": "b2", "other": "b3"}, tasks)
    assert {call.method for call in again} == {"PATCH"}
    assert [call.path for call in again[:3]] == ["/api/v2/buckets/b1", "/api/v2/buckets/b2", "/api/v2/tasks/t0"]
    assert all("orgID" not in call.body for call in again)


def test_a_shadow_gets_its_place_alone_and_is_nobodys_default() -> None:
    place = Place.of(Settings(influx_bucket="fairroll/shadow", metrics_days=30))
    assert [statement.make for statement in shadow_1(place)] == [
        'CREATE DATABASE "fairroll"',
        'CREATE RETENTION POLICY "shadow" ON "fairroll" DURATION 30d REPLICATION 1',
    ]
    [bucket] = shadow_2(place, "0a1b", {})
    assert bucket.body["name"] == "fairroll/shadow"


def test_two_pipelines_of_one_organisation_have_tasks_of_their_own() -> None:
    """A task belongs to the organisation: one of the same name would be repointed to the other's bucket."""

    def tasks(namespace: str) -> set[str]:
        place = Place.of(Settings.from_environ({"FAIRROLL_NAMESPACE": namespace}))
        calls = calls_2(place, ORG, {}, {})
        return {
            name for call in calls for name in re.findall(r'option task = \{name: "(.+?)"', call.body.get("flux", ""))
        }

    assert len(tasks("production")) == len(tasks("staging")) > 0
    assert tasks("production").isdisjoint(tasks("staging"))
