"""What alerts say of the scene, and of points that were made up for them."""

import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
import pytest_asyncio

from infra.local.ports import Ports
from infra.local.stack import LocalStack
from models.metrics.catalogue import REPORTS, REQUESTS, SERVICES, ServiceState
from models.settings import Settings
from stream_processors.sink.influx_setup import set_up
from tests.grafana.evaluation import firing
from tests.grafana.influx import ask, write
from tests.grafana.scene import Scene

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

SILENT, STUCK, NOT_READY, READY = ServiceState
ALL_WELL = [
    "silent-service",
    "unready-service",
    "silent-site",
    "jam",
    "lag",
    "dead-letters",
    "sink-drops",
    "old-template",
]


async def test_what_is_broken_fires(scene: Scene) -> None:
    assert await firing(scene.settings, "audit-failed") == {""}


@pytest.mark.parametrize("uid", ALL_WELL)
async def test_what_is_well_is_silent(scene: Scene, uid: str) -> None:
    assert await firing(scene.settings, uid) == set()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def database(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    """An InfluxDB alone, set up."""
    folder: Path = tmp_path_factory.mktemp("alerts")
    async with LocalStack(folder, programs=("influxd", "gateway"), ports=Ports.free()) as stack:
        await set_up(stack.settings)
        yield stack.settings


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def emptied(request: pytest.FixtureRequest) -> None:
    if "database" in request.fixturenames:
        for measurement in (SERVICES, REQUESTS, REPORTS):
            await ask(request.getfixturevalue("database"), f"DROP MEASUREMENT {measurement.name}")


def ago(seconds: float) -> int:
    return time.time_ns() - int(seconds * 1e9)


def sampled(part: str, *changes: tuple[float, ServiceState], **counts: int) -> Iterable[str]:
    """A service every ten seconds of the last five minutes; `changes`: its state from so many seconds ago on."""
    tags = {"address": f"{part}.example:9100", "service": part, "instance": "1"}
    for second in range(300, 0, -10):
        state = [state for since, state in changes if since >= second][-1]
        yield SERVICES.line(ago(second), tags, {"state": state, **counts})


async def test_a_service_that_is_dead_or_not_ready_for_a_minute_fires_and_one_that_was_restarted_does_not(
    database: Settings,
) -> None:
    await write(database, sampled("ingress", (300, READY), (60, SILENT)))
    await write(database, sampled("egress", (300, READY), (60, NOT_READY)))
    await write(database, sampled("keyholder", (300, READY), (60, STUCK)))
    await write(database, sampled("decider", (300, READY), (30, SILENT), (15, NOT_READY), (5, READY)))
    assert await firing(database, "silent-service") == {"ingress 1 ingress.example:9100"}
    assert await firing(database, "unready-service") == {
        "egress 1 egress.example:9100",
        "keyholder 1 keyholder.example:9100",
    }


async def test_a_pipeline_that_nobody_asks_fires(database: Settings) -> None:
    assert await firing(database, "silent-service") == {"no data"}


async def test_a_silent_site_fires_for_as_long_as_it_is_silent(database: Settings) -> None:
    for site, reports in (("park", 0), ("hall", 1)):
        periods = [REQUESTS.line(ago(60 * n), {"site": site}, {"n": 0, "reports": reports}) for n in range(1, 59)]
        await write(database, periods)
    report = REPORTS.line(ago(9 * 86_400), {"site": "park", "device": "gate", "what": "stock"}, {"n": 1})
    await write(database, [report])
    assert await firing(database, "silent-site") == {"park"}


async def test_drops_fire_when_their_counters_grow_and_not_when_they_begin_anew(database: Settings) -> None:
    async def count(instance: str, *rejected: int) -> None:
        tags = {"address": f"{instance}:9104", "service": "sink", "instance": instance}
        times = [ago(10 * n) for n in range(len(rejected), 0, -1)]
        lines = [
            SERVICES.line(at, tags, {"rejected": n, "unreadable": 0}) for at, n in zip(times, rejected, strict=True)
        ]
        await write(database, lines)

    await count("restarted", 500, 500, 0, 0, 0)
    await count("well", 7, 7, 7, 7)
    await count("dropping", 7, 7, 9, 9)
    assert await firing(database, "sink-drops") == {"dropping"}
