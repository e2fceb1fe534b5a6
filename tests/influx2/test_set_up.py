"""The set-up of a real InfluxDB 2: buckets, tasks, and the rights that it needs."""

import asyncio
import time
from typing import Any

import pytest
from msgspec import structs

from infra.influxql import query
from models.metrics.catalogue import MEASUREMENTS
from models.settings import Settings
from stream_processors.runtime.health import Health
from stream_processors.sink.influx import open_influx
from stream_processors.sink.influx_api import InfluxRefused
from stream_processors.sink.influx_setup import set_up
from tests.support.influxd2 import Influxd2

pytestmark = pytest.mark.asyncio(loop_scope="session")

TASKS = sum(any(field.hourly for field in measurement.fields) for measurement in MEASUREMENTS)


async def found(server: Influxd2, kind: str, prefix: str) -> dict[str, dict[str, Any]]:
    listed = (await server.call("GET", f"/api/v2/{kind}", params={"limit": "100"}))[kind]
    return {one["name"]: one for one in listed if one["name"].startswith(prefix)}


async def test_the_set_up_can_be_repeated_and_mends_what_differs(server: Influxd2) -> None:
    settings = structs.replace(server.settings, influx_bucket="repeated")
    await set_up(settings)
    buckets, tasks = await found(server, "buckets", "repeated"), await found(server, "tasks", "repeated")
    assert buckets.keys() == {"repeated", "repeated/hours"}
    assert len(tasks) == TASKS
    await set_up(settings)
    assert await found(server, "tasks", "repeated") == tasks, "nothing is touched that is as it should be"
    await set_up(structs.replace(settings, metrics_days=7))
    bucket = (await found(server, "buckets", "repeated"))["repeated"]
    assert bucket["retentionRules"][0]["everySeconds"] == 7 * 86_400
    assert bucket["id"] == buckets["repeated"]["id"]


async def test_a_second_pipeline_leaves_the_tasks_of_the_first_alone(server: Influxd2) -> None:
    first, second = (structs.replace(server.settings, influx_bucket=name) for name in ("first", "second"))
    await set_up(first)
    tasks = await found(server, "tasks", "first")
    await set_up(second)
    assert await found(server, "tasks", "first") == tasks
    assert len(await found(server, "tasks", "second")) == TASKS


async def test_buckets_are_found_among_more_than_a_listing_has(server: Influxd2) -> None:
    settings = structs.replace(server.settings, influx_bucket="zz last")
    for number in range(110):
        await server.bucket(f"crowd-{number}")
    await set_up(settings)
    await set_up(settings)
    assert len(await found(server, "tasks", "zz last")) == TASKS


async def test_hours_are_made_of_points(server: Influxd2) -> None:
    settings, health = structs.replace(server.settings, influx_bucket="summed"), Health("test", "1")
    hour = (int(time.time()) // 3600 - 2) * 3600
    lines = [
        f"requests,site=park n={n}i,p50_ms={n}i,max_ms={n}i {(hour + minute * 60) * 10**9}"
        for minute, n in ((0, 3), (1, 5), (61, 7))
    ]
    async with open_influx(settings, health) as influx:
        assert await influx.offer(lines) == []
    task = (await found(server, "tasks", "summed"))["summed_hours_requests"]
    await server.call("POST", f"/api/v2/tasks/{task['id']}/runs", json={})
    async with asyncio.timeout(30):
        while len(rows := await query(settings, 'SELECT * FROM "hours"."requests"')) < 2:
            await asyncio.sleep(0.3)
    assert [(row["time"] // 10**9 - hour, row["site"], row["n"], row["p50_ms"], row["max_ms"]) for row in rows] == [
        (0, "park", 8, 4, 5),
        (3600, "park", 7, 7, 7),
    ]


async def test_a_token_that_may_only_write_is_reported_which_rights_the_set_up_needs(server: Influxd2) -> None:
    bucket = await server.bucket("written")
    token = await server.token(f"write:buckets/{bucket}")
    settings, health = restricted(server, token, "written"), Health("test", "1")
    with pytest.raises(InfluxRefused, match=r"FAIRROLL_INFLUX_TOKEN.* read:orgs, read:buckets, write:buckets"):
        await set_up(settings)
    async with open_influx(settings, health) as influx:
        assert await influx.check()
        assert await influx.offer(["m n=1i"]) == []
    assert health.vitals().counts == {"points": 1}


@pytest.mark.parametrize(
    ("rights", "missing"),
    [
        (["read:orgs", "read:buckets"], "write:buckets"),
        (["read:orgs", "read:buckets", "write:buckets"], "write:tasks"),
    ],
)
async def test_the_right_that_is_missing_is_named(server: Influxd2, rights: list[str], missing: str) -> None:
    settings = restricted(server, await server.token(*rights), "rights")
    with pytest.raises(InfluxRefused, match=rf"FAIRROLL_INFLUX_TOKEN, needs the rights .*{missing}"):
        await set_up(settings)


async def test_the_documented_rights_are_enough(server: Influxd2) -> None:
    rights = ["read:orgs", "read:buckets", "write:buckets", "read:tasks", "write:tasks"]
    settings, health = restricted(server, await server.token(*rights), "enough"), Health("test", "1")
    await set_up(settings)
    async with open_influx(settings, health) as influx:
        assert await influx.offer(["m n=1i"]) == []


async def test_once_all_is_set_up_a_token_that_may_see_it_needs_no_right_to_create(server: Influxd2) -> None:
    settings = structs.replace(server.settings, influx_bucket="seen")
    await set_up(settings)
    await set_up(structs.replace(settings, influx_token=await server.token("read:buckets", "read:tasks")))


async def test_an_organisation_that_is_not_there_and_a_wrong_token_are_named(server: Influxd2) -> None:
    with pytest.raises(InfluxRefused, match=r'organization name \\"nowhere\\" not found'):
        await set_up(structs.replace(server.settings, influx_org="nowhere"))
    with pytest.raises(InfluxRefused, match=r"401 .*\(FAIRROLL_INFLUX_TOKEN\)"):
        await set_up(structs.replace(server.settings, influx_token="wrong"))  # noqa: S106 - it opens nothing


def restricted(server: Influxd2, token: str, bucket: str) -> Settings:
    return structs.replace(server.settings, influx_token=token, influx_bucket=bucket)
