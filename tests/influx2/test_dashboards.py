"""What dashboards and alerts ask is answered alike by a real InfluxDB 1 and a real InfluxDB 2."""

import time
from collections.abc import AsyncIterator, Iterator
from random import Random

import aiohttp
import pytest
import pytest_asyncio
from msgspec import structs

from grafana.answers import Refused, Series
from infra.influxql import read_series
from infra.local.ports import Ports
from infra.local.stack import LocalStack
from infra.preview.page import query_boards
from models.metrics.catalogue import MEASUREMENTS
from models.metrics.schema import Field, Measurement, Tag, Value
from models.metrics.storage import POINTS, SHADOW, bucket_name
from models.settings import Settings
from stream_processors.sink.influx_setup import set_up
from tests.grafana.statements import QueryCase, of_alerts, of_annotations, of_panels, statement
from tests.support.influxd2 import Influxd2

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOW_MS = int(time.time()) * 1000
SINCE_MS = NOW_MS - 1_200_000
STEP_MS = 30_000
NAMES = ["north", "south"]
SERVICES = ["decider", "egress", "ingress", "sink"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def both(server: Influxd2, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Settings, Settings]]:
    """An InfluxDB 1 and an InfluxDB 2 with the same points."""
    folder = tmp_path_factory.mktemp("influxd1")
    async with LocalStack(folder, programs=("influxd", "gateway"), ports=Ports.free()) as stack:
        one, two = stack.settings, structs.replace(server.settings, influx_bucket=stack.settings.influx_bucket)
        for settings in (one, two):
            for policy in (POINTS, SHADOW):
                await set_up(settings, policy)
                await write(settings, policy, [line for measurement in MEASUREMENTS for line in points(measurement)])
        yield one, two


async def write(settings: Settings, policy: str, lines: list[str]) -> None:
    where = {"bucket": bucket_name(settings.influx_bucket, policy), "org": settings.influx_org}
    headers = {"Authorization": f"Token {settings.influx_token}"}
    async with (
        aiohttp.ClientSession(headers=headers, raise_for_status=True) as http,
        http.post(f"{settings.influx_url}/api/v2/write", params=where, data="\n".join(lines)),
    ):
        pass


def points(measurement: Measurement) -> Iterator[str]:
    """Made-up values of every field, for some values of every tag."""
    lots = Random(measurement.name)
    for at in range(SINCE_MS, NOW_MS, STEP_MS):
        for number in range(6):
            tags = {tag.name: lots.choice(words(tag)) for tag in measurement.tags}
            fields = {field.name: value(field, lots) for field in measurement.fields}
            yield measurement.line((at + number) * 1_000_000, tags, fields)


def words(tag: Tag) -> list[str]:
    if tag.values:
        return sorted(tag.values)
    return SERVICES if tag.name == "service" else NAMES


def value(field: Field, lots: Random) -> Value:
    match field.kind:
        case "boolean":
            return lots.random() < 0.5
        case "string":
            return lots.choice(NAMES)
        case "integer":
            return lots.randrange(100)
        case "float":
            return lots.randrange(100) / 4


def ordered(answer: list[Series]) -> list[Series]:
    return sorted(answer, key=lambda series: sorted(series.tags.items()))


@pytest.mark.parametrize("asked", [*of_panels(), *of_annotations(), *of_alerts()], ids=lambda asked: asked.name)
async def test_a_statement_has_the_same_answer(asked: QueryCase, both: tuple[Settings, Settings]) -> None:
    text = statement(asked, SINCE_MS, NOW_MS).replace("now()", f"{NOW_MS}ms")
    one, two = [ordered(await read_series(settings, text)) for settings in both]
    assert one == two
    assert one or asked.over


async def test_a_board_without_its_shadow_is_drawn_all_the_same(both: tuple[Settings, Settings]) -> None:
    [shown] = await query_boards(both[1], ["replay"], NOW_MS, typed={"shadow": "nowhere"})
    assert "retention policy not found: nowhere" in str(shown.answers)


async def test_reading_the_points_and_the_shadow_is_enough(server: Influxd2, both: tuple[Settings, Settings]) -> None:
    _, settings = both
    names = [bucket_name(settings.influx_bucket, policy) for policy in (POINTS, SHADOW)]
    listed = (await server.call("GET", "/api/v2/buckets", params={"limit": "100"}))["buckets"]
    rights = [f"read:buckets/{bucket['id']}" for bucket in listed if bucket["name"] in names]
    assert len(rights) == 2
    reader = structs.replace(settings, influx_token=await server.token(*rights))
    for shown in await query_boards(reader, ["city", "replay"], NOW_MS):
        assert not any(isinstance(answer, Refused) for answer in shown.answers.values())
