"""Writing to a real InfluxDB 2: what is wrong with some points costs no others."""

import time

import pytest
from msgspec import structs

from infra.influxql import query
from stream_processors.runtime.health import Health
from stream_processors.sink.influx import WriteRefused, open_influx
from stream_processors.sink.influx_setup import set_up
from tests.support.influxd2 import Influxd2

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("parsed", "this is no line"),
        ("typed", f"m,kind=b n=2.5 {time.time_ns()}"),
        ("old", "m,kind=b n=1i 1000"),
    ],
    ids=["parsed", "typed", "old"],
)
async def test_a_line_that_cannot_be_written_costs_no_other(server: Influxd2, name: str, bad: str) -> None:
    settings, health = structs.replace(server.settings, influx_bucket=name), Health("test", "1")
    lines = [f"m,kind=a n={number}i {time.time_ns() + number}" for number in range(500)]
    async with open_influx(settings, health) as influx:
        assert await influx.offer(lines[:1]) == []
        assert await influx.offer([*lines[:100], bad, *lines[100:]]) == []
    [row] = await query(settings, 'SELECT count(n) AS n FROM "autogen"."m"')
    assert row["n"] == 500
    assert health.vitals().counts == {"points": 501, "rejected": 1}


async def test_a_bucket_that_is_gone_is_created_again_and_nothing_is_lost(server: Influxd2) -> None:
    settings, health = structs.replace(server.settings, influx_bucket="gone"), Health("test", "1")
    async with open_influx(settings, health) as influx:
        assert await influx.offer([f"m n=1i {time.time_ns()}"]) == []
        await server.call("DELETE", f"/api/v2/buckets/{await bucket_id(server, 'gone')}")
        await influx.write([f"m n=1i {time.time_ns()}"])
    assert len(await query(settings, 'SELECT n FROM "autogen"."m"')) == 1


async def bucket_id(server: Influxd2, name: str) -> str:
    [bucket] = (await server.call("GET", "/api/v2/buckets", params={"name": name}))["buckets"]
    return str(bucket["id"])


@pytest.mark.parametrize(("rights", "status"), [((), 401), (("read:buckets",), 403)])
async def test_a_token_that_may_not_write_is_no_readiness(
    server: Influxd2, rights: tuple[str, ...], status: int
) -> None:
    token = await server.token(*rights) if rights else "wrong"
    settings, health = structs.replace(server.settings, influx_token=token, influx_bucket="kept"), Health("test", "1")
    await set_up(structs.replace(server.settings, influx_bucket="kept"))
    async with open_influx(settings, health) as influx:
        with pytest.raises(WriteRefused, match=rf"refuses to write: {status} .*\(FAIRROLL_INFLUX_TOKEN\)"):
            await influx.check()
        assert await influx.offer(["m n=1i"]) == ["m n=1i"]
    assert "rejected" not in health.vitals().counts
