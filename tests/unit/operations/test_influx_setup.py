"""What InfluxDB is set up with: statements for version 1, resources for version 2."""

import re

from models.metrics.catalogue import MEASUREMENTS
from models.metrics.storage import HOURS, POINTS, Storage, bucket_name
from models.settings import Settings
from stream_processors.sink.influx_schema import resources_2, shadow_1, shadow_2, statements_1

STORAGE = Storage.of(Settings(metrics_days=30, metrics_hours_days=730))
EVENTS_ALONE = {"devices", "controls", "receipts", "shadow"}
"""states and annotations, of which an hour means nothing; and a shadow, which has a policy of its own"""


def test_a_bucket_of_version_2_is_named_after_database_and_policy() -> None:
    names = [bucket_name("city", policy) for policy in (POINTS, HOURS, "shadow")]
    assert names == ["city", "city/hours", "city/shadow"]


def test_version_1_gets_a_database_two_policies_and_a_query_for_each_measurement_that_has_hours() -> None:
    database, points, hours, *queries = statements_1(STORAGE)
    assert database.create == 'CREATE DATABASE "fairroll"'
    assert points.create == 'CREATE RETENTION POLICY "autogen" ON "fairroll" DURATION 30d REPLICATION 1 DEFAULT'
    assert hours.instead == ('ALTER RETENTION POLICY "hours" ON "fairroll" DURATION 730d REPLICATION 1',)
    names = {re.findall(r'"fairroll_hours_(\w+)"', query.create)[0] for query in queries}
    assert names == {measurement.name for measurement in MEASUREMENTS} - EVENTS_ALONE
    [answers] = [query for query in queries if "hours_answers" in query.create]
    assert answers.create == (
        'CREATE CONTINUOUS QUERY "fairroll_hours_answers" ON "fairroll" RESAMPLE EVERY 30m FOR 49h BEGIN'
        ' SELECT sum("n") AS "n", sum("cm") AS "cm", sum("erased") AS "erased"'
        ' INTO "fairroll"."hours"."answers" FROM "fairroll"."autogen"."answers" GROUP BY time(1h), * END'
    )
    assert answers.instead == ('DROP CONTINUOUS QUERY "fairroll_hours_answers" ON "fairroll"', answers.create)


def test_version_2_gets_two_buckets_and_a_task_for_each_measurement_that_has_hours() -> None:
    points, hours, *tasks = resources_2(STORAGE)
    assert points == (
        "buckets",
        "fairroll",
        {"name": "fairroll", "retentionRules": [{"type": "expire", "everySeconds": 2_592_000}]},
    )
    assert hours.name == "fairroll/hours"
    assert len(tasks) == len(MEASUREMENTS) - len(EVENTS_ALONE)
    [answers] = [task for task in tasks if task.name == "fairroll_hours_answers"]
    assert answers.kind == "tasks"
    assert answers.body["flux"].splitlines() == [
        'import "date"',
        'option task = {name: "fairroll_hours_answers", every: 30m}',
        (
            'points = from(bucket: "fairroll") |> range(start: date.truncate(t: -49h, unit: 1h))'
            ' |> filter(fn: (r) => r._measurement == "answers")'
        ),
        (
            'points |> filter(fn: (r) => r._field == "n" or r._field == "cm" or r._field == "erased")'
            ' |> aggregateWindow(every: 1h, fn: sum, timeSrc: "_start", createEmpty: false)'
            ' |> to(bucket: "fairroll/hours") |> yield(name: "sum")'
        ),
    ]


def test_each_way_of_summing_up_is_a_stream_of_its_task() -> None:
    [requests] = [task for task in resources_2(STORAGE) if task.name == "fairroll_hours_requests"]
    assert re.findall(r'yield\(name: "(\w+)"\)', requests.body["flux"]) == ["max", "mean", "sum"]


def test_two_pipelines_of_one_organisation_have_resources_of_their_own() -> None:
    """A task belongs to the organisation: one of the same name would be repointed to the other's bucket."""

    def names(namespace: str) -> set[str]:
        storage = Storage.of(Settings.from_environ({"FAIRROLL_NAMESPACE": namespace}))
        return {resource.name for resource in resources_2(storage)}

    assert len(names("production")) == len(names("staging")) > 0
    assert names("production").isdisjoint(names("staging"))


def test_a_resource_is_changed_where_it_differs_and_left_alone_otherwise() -> None:
    bucket, *_, task = resources_2(STORAGE)
    rule = {"type": "expire", "everySeconds": 2_592_000, "shardGroupDurationSeconds": 86_400}
    assert bucket.is_like({"id": "1", "name": "fairroll", "retentionRules": [rule]})
    assert not bucket.is_like({"id": "1", "name": "fairroll", "retentionRules": [rule | {"everySeconds": 60}]})
    assert not bucket.is_like({"id": "1", "name": "fairroll", "retentionRules": []})
    assert task.is_like({"id": "2", "every": "30m", **task.body})
    assert not task.is_like({"id": "2", **task.body, "status": "inactive"})
    assert not task.is_like({"id": "2", **task.body, "flux": "buckets()"})


def test_a_shadow_gets_its_policy_alone_which_is_never_the_default() -> None:
    assert [statement.create for statement in shadow_1(STORAGE, "shadow-spring")] == [
        'CREATE DATABASE "fairroll"',
        'CREATE RETENTION POLICY "shadow-spring" ON "fairroll" DURATION 30d REPLICATION 1',
    ]
    [bucket] = shadow_2(STORAGE, "shadow-spring")
    assert bucket.name == bucket.body["name"] == "fairroll/shadow-spring"
