"""The audit of a real InfluxDB 2: every bucket of the metrics, whatever InfluxQL takes for the default."""

import pytest
from msgspec import structs

from infra.audit.places import Unread
from models.settings import Settings
from stream_processors.sink.influx_setup import set_up
from tests.support.influx_leak import audited, plant
from tests.support.influxd2 import Influxd2

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def set_up_bucket(server: Influxd2, name: str) -> Settings:
    settings = structs.replace(server.settings, influx_bucket=name)
    await set_up(settings)
    return settings


async def test_what_leaks_into_any_bucket_is_found(server: Influxd2) -> None:
    settings = await set_up_bucket(server, "leaking")
    await set_up(settings, "leak")
    assert (await audited(settings))[0].verdict == "clean"
    await plant(settings, "leak")
    place, found = await audited(settings)
    assert place.verdict == "violated"
    assert found == [("template", "leak.notes, field text"), ("unknown", "leak.requests, tag visitor")]


async def test_reading_the_buckets_is_enough(server: Influxd2) -> None:
    settings = await set_up_bucket(server, "read")
    place, _ = await audited(structs.replace(settings, influx_token=await server.token("read:buckets")))
    assert place.verdict == "clean"


async def test_a_bucket_that_a_mapping_hides_is_unread(server: Influxd2) -> None:
    settings = await set_up_bucket(server, "hidden")
    other = await server.bucket("hidden/other")
    mapping = {"orgID": server.org_id, "bucketID": other, "database": "hidden", "retention_policy": "autogen"}
    await server.call("POST", "/api/v2/dbrps", json=mapping)
    with pytest.raises(Unread, match="no InfluxQL reaches hidden: "):
        await audited(settings)


async def test_a_bucket_that_the_token_may_not_read_is_unread(server: Influxd2) -> None:
    settings = await set_up_bucket(server, "closed")
    [bucket] = (await server.call("GET", "/api/v2/buckets", params={"name": "closed"}))["buckets"]
    token = await server.token(f"read:buckets/{bucket['id']}")
    with pytest.raises(Unread, match="no InfluxQL reaches closed/hours: the token may not read it"):
        await audited(structs.replace(settings, influx_token=token))
