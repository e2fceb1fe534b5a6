"""The sink on a real Kafka and a real InfluxDB: points produced are points stored, whatever dies in between."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from aiokafka import TopicPartition
from msgspec import structs

from infra.influxql import query
from infra.local.ports import Ports
from infra.local.stack import LocalStack
from infra.setup.provision import provision_topics
from models.contract.codec import encode
from models.contract.dead_letters import DeadLetter
from models.contract.messages import Ack, Control, DeviceState, Dispense, Refuse
from models.contract.topics import kafka_topics
from models.ledger.outcomes import Answered, Held, Outcome, ReportKept, SiteCounted
from models.metrics.catalogue import ServiceState
from models.metrics.storage import Storage
from models.settings import Settings
from stream_processors.runtime.consumer_lag import committed
from stream_processors.runtime.health import Health
from stream_processors.runtime.kafka import open_consumer, open_producer
from stream_processors.sink.influx import WriteRefused, open_influx
from stream_processors.sink.influx_schema import Downsampling, statements_1
from stream_processors.sink.influx_setup import set_up
from tests.support.metric_books import stored, until_stored
from tests.support.proxy import proxied
from tests.support.services import Service, away, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

SITES = [f"s{number}" for number in range(8)]
PERIOD_S = 1
_offsets = itertools.count()
_WITHIN_S = 60.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    parts = ("kafka", "influxd", "gateway")
    environ = {"FAIRROLL_METRICS_PERIOD_S": str(PERIOD_S), "FAIRROLL_METRICS_K": "3"}
    async with LocalStack(
        tmp_path_factory.mktemp("sink"), programs=parts, ports=Ports.free(), environ=environ
    ) as stack:
        await provision_topics(stack.settings, kafka_topics(stack.settings.topics, stack.settings.partitions, 540))
        yield stack


async def test_points_produced_are_points_stored_though_influxdb_is_killed_under_load(stack: LocalStack) -> None:
    settings, sink = stack.settings, Service("sink", stack.settings)
    async with running(sink):
        deciding = asyncio.create_task(decide(settings, seconds=8, per_second=200))
        await asyncio.sleep(2)
        await stack.kill("influxd")
        await sink.until_not_ready("influxdb")
        await asyncio.sleep(2)
        await stack.start("influxd")
        await deciding
        await assert_books_agree(settings)
        assert (await sink.vitals())[1].counts["rejected"] == 0


async def test_points_produced_are_points_stored_though_sinks_come_go_and_are_killed(stack: LocalStack) -> None:
    settings = stack.settings
    first, second = Service("sink", settings, "1"), Service("sink", settings, "2")
    async with running(first):
        deciding = asyncio.create_task(decide(settings, seconds=12, per_second=100))
        await asyncio.sleep(2.5)
        await second.start()
        await asyncio.sleep(2.5)
        await second.kill()
        await second.start()
        await asyncio.sleep(2.5)
        await first.kill()
        await first.start()
        await deciding
        await second.stop()
        await assert_books_agree(settings)


async def test_nothing_is_committed_while_influxdb_is_away_and_nothing_is_lost(stack: LocalStack) -> None:
    settings, sink = stack.settings, Service("sink", stack.settings)
    async with running(sink):
        await decide(settings, seconds=1, per_second=100)
        await until_committed(settings)
        before = await committed_decisions(settings)
        async with away(stack, "gateway"):
            await sink.until_not_ready("influxdb ")
            await decide(settings, seconds=1, per_second=100)
            await sink.until_not_ready("influxdb is unreachable: ")
            await sink.stop()
            assert await committed_decisions(settings) - before <= len(SITES)  # the ticks, which were reported before
        await sink.start()
        await sink.until_ready()
        await until_committed(settings)
        await assert_books_agree(settings)


async def test_a_stopped_sink_has_written_and_committed_what_it_read(stack: LocalStack) -> None:
    settings, sink = stack.settings, Service("sink", stack.settings)
    async with running(sink):
        await decide(settings, seconds=1, per_second=300)
        points = (await sink.vitals())[1].counts.get("points", 0)
        await sink.until_count("points", points + 1)
        await sink.stop()
        done = await committed_decisions(settings)
        held = await stored(settings)
        await sink.start()
        await until_committed(settings)
        assert await committed_decisions(settings) >= done
        assert held.items() <= (await stored(settings)).items()


async def test_every_kind_of_record_becomes_a_point(stack: LocalStack) -> None:
    settings, sink = stack.settings, Service("sink", stack.settings)
    control = Control(
        site="s1", mode="face", policy="0123456789ab", epoch=0, ration_cm=60, ration_budget_cm=6000, window_s=540
    )
    async with running(sink), open_producer(settings) as producer:
        await producer.send_and_wait(settings.topics.states, encode(DeviceState(online=True)), key=b"s1/gate")
        await producer.send_and_wait(settings.topics.controls, encode(control), key=b"s1")
        held = Held(
            site="s1", offset=next(_offsets), at=now_ms(), templates=3, accounts=4, oldest_s=9, why="a complaint"
        )
        await producer.send_and_wait(settings.topics.receipts, encode(held), key=b"s1")
        await producer.send_and_wait(
            settings.topics.dead_letters, encode(DeadLetter.of("somewhere", b"?", "not JSON, or so", settings.topics))
        )
        await decide(settings, seconds=2, per_second=100)
        await producer.send_and_wait(settings.topics.decisions, b'{"kind":"tomorrow"}', key=b"s1")
        await producer.send_and_wait(settings.topics.states, encode(DeviceState(online=True)), key=b"\xff")
        await assert_books_agree(settings)
        await sink.until_count("unreadable", 2)
    kinds = {key.measurement for key in await stored(settings)}
    assert kinds == {"requests", "answers", "reports", "sites", "devices", "controls", "receipts", "dead_letters"}


async def test_one_sink_of_two_looks_at_services_and_groups(stack: LocalStack) -> None:
    unused = "127.0.0.1:1"
    settings = structs.replace(stack.settings, services=unused)
    async with running(Service("sink", settings, "1"), Service("sink", settings, "2")):
        since = time.time_ns()
        async with asyncio.timeout(_WITHIN_S):
            while not (lags := await query(settings, f"SELECT * FROM lag WHERE time > {since}")):
                await asyncio.sleep(0.5)
        services = await query(settings, f"SELECT * FROM services WHERE time > {since}")
    assert {(row["address"], row["state"]) for row in services} == {(unused, ServiceState.SILENT)}
    assert {(row["group"], row["topic"]) for row in lags} >= {("decider", "events"), ("sink", "decisions")}
    assert len({(row["time"], row["group"], row["topic"]) for row in lags}) == len(lags)
    assert all(row["time"] % 10_000_000_000 == 0 for row in lags)


async def test_series_grow_with_dispensers_and_not_with_visitors(stack: LocalStack) -> None:
    settings = stack.settings
    async with running(Service("sink", settings)):
        await decide(settings, seconds=1, per_second=300)
        await assert_books_agree(settings)
        before = await series(settings)
        await decide(settings, seconds=3, per_second=300)
        await assert_books_agree(settings)
    assert await series(settings) <= before + len(SITES) * 2  # a cell that was too small before


async def test_the_set_up_can_be_repeated_and_mends_what_differs(stack: LocalStack) -> None:
    settings = stack.settings
    assert (await set_up(settings)).startswith("1.")
    await set_up(structs.replace(settings, metrics_days=7))
    policies = {row["name"]: row for row in await query(settings, "SHOW RETENTION POLICIES")}
    assert (policies["autogen"]["duration"], policies["autogen"]["default"]) == ("168h0m0s", True)
    assert (policies["hours"]["duration"], policies["hours"]["default"]) == ("17520h0m0s", False)
    await set_up(settings)
    policies = {row["name"]: row for row in await query(settings, "SHOW RETENTION POLICIES")}
    assert policies["autogen"]["duration"] == "720h0m0s"
    queries = await query(settings, "SHOW CONTINUOUS QUERIES")
    assert {row["name"] for row in queries} >= {"fairroll_hours_requests", "fairroll_hours_reports"}


@pytest.mark.parametrize(
    ("name", "bad"),
    [("parsed", "this is no line"), ("typed", f"m,kind=b n=2.5 {time.time_ns()}"), ("old", "m,kind=b n=1i 1000")],
    ids=["parsed", "typed", "old"],
)
async def test_a_line_that_cannot_be_written_costs_no_other(stack: LocalStack, name: str, bad: str) -> None:
    settings, health = structs.replace(stack.settings, influx_bucket=name), Health("test", "1")
    lines = [f"m,kind=a n={number}i {time.time_ns() + number}" for number in range(500)]
    async with open_influx(settings, health) as influx:
        await influx.write(lines[:1])  # the database is not there yet
        await influx.write([*lines[:100], bad, *lines[100:]])
    vitals = health.vitals()
    assert (vitals.counts["points"], vitals.counts["rejected"]) == (501, 1)
    assert vitals.last_fault
    assert vitals.last_fault.text.startswith("influxdb rejects 1 points: 400 ")
    assert len(await query(settings, "SELECT n FROM m")) == 500


async def test_behind_a_proxy_with_a_path_and_a_limit_on_bodies_every_point_arrives(stack: LocalStack) -> None:
    async with proxied(stack.settings, most_bytes=2_000) as url:
        environ = stack.settings.to_environ() | {"FAIRROLL_INFLUX_URL": url, "FAIRROLL_INFLUX_BUCKET": "proxied"}
        settings, health = Settings.from_environ(environ), Health("test", "1")
        async with open_influx(settings, health) as influx:
            assert await influx.check()
            await influx.write([f"m n={number}i {time.time_ns() + number}" for number in range(3_000)])
        assert len(await query(settings, "SELECT n FROM m")) == 3_000
    assert health.vitals().counts == {"points": 3_000}


async def test_points_wait_while_the_token_is_wrong_and_the_sink_is_not_ready(stack: LocalStack) -> None:
    wrong = structs.replace(stack.settings, influx_token="wrong")  # noqa: S106 - it opens nothing
    health, line = Health("test", "1"), f"m n=1i {time.time_ns()}"
    async with open_influx(wrong, health) as influx:
        assert await influx.offer([line]) == [line]
        with pytest.raises(WriteRefused, match="refuses to write: 401"):
            await influx.check()
    assert "rejected" not in health.vitals().counts
    sink = Service("sink", wrong)
    async with running(sink):
        await sink.until_not_ready("influxdb refuses to write: 401")


async def test_hours_are_made_of_points(stack: LocalStack) -> None:
    """The real continuous queries, with hours of two seconds, in a database of their own."""
    settings = structs.replace(stack.settings, influx_bucket="downsampled")
    now = time.time_ns() // 10**9
    begin = now - now % 2 - 6
    lines = [
        f"requests,site=park n={n}i,p50_ms={n}i,max_ms={n}i {(begin + second) * 10**9}"
        for second, n in ((0, 3), (1, 5), (2, 7))
    ]
    async with aiohttp.ClientSession(headers={"Authorization": f"Token {settings.influx_token}"}) as http:

        async def ask(statement: str) -> None:
            async with http.post(f"{settings.influx_url}/query", data={"q": statement}) as answer:
                assert "error" not in await answer.text()

        await ask("CREATE DATABASE downsampled")
        write = f"{settings.influx_url}/api/v2/write"
        async with http.post(write, params={"bucket": "downsampled"}, data="\n".join(lines)) as answer:
            assert answer.status == 204
        for statement in statements_1(Storage.of(settings), Downsampling(every="1s", width="2s", back="30s")):
            await ask(statement.create) if "autogen" not in statement.create[:40] else None
        async with asyncio.timeout(_WITHIN_S):
            while len(hours := await query(settings, 'SELECT * FROM "downsampled"."hours"."requests"')) < 2:
                await asyncio.sleep(0.3)
        await ask("DROP DATABASE downsampled")
    assert [(row["time"] // 10**9 - begin, row["site"], row["n"], row["p50_ms"], row["max_ms"]) for row in hours] == [
        (0, "park", 8, 4, 5),
        (2, "park", 7, 7, 7),
    ]


async def decide(settings: Settings, *, seconds: float, per_second: int) -> None:
    """Decisions as a decider writes them, with ticks; some of them come twice, as after a crash of it."""
    async with open_producer(settings) as producer:

        async def submit(outcome: Outcome) -> None:
            partition = SITES.index(outcome.site) % settings.partitions
            await producer.send(
                settings.topics.decisions, encode(outcome), key=outcome.site.encode(), partition=partition
            )

        for number in range(round(seconds * per_second)):
            outcome = decision(next(_offsets))
            await submit(outcome)
            if number % 40 == 0:
                await submit(outcome)
            await asyncio.sleep(1 / per_second)
        await asyncio.sleep(PERIOD_S)
        offset, at = next(_offsets), now_ms()
        for site in SITES:
            await submit(SiteCounted(site=site, offset=offset, at=at, templates=1, accounts=1, oldest_s=0.5))


def decision(offset: int) -> Outcome:
    site, at, request = SITES[offset % len(SITES)], now_ms(), f"request-{offset:010}"
    if offset % 5 == 0:
        noted = Ack(numbers=(offset + 1,))
        return ReportKept(site=site, device="d", offset=offset, at=at, command=noted, what="dispensed", cm=60)
    is_refused = offset % 7 == 0
    command = (
        Refuse(request=request, reason="quota", retry_after_s=9) if is_refused else Dispense(request=request, cm=60)
    )
    return Answered(site=site, device="d", offset=offset, at=at, by="button", command=command)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def assert_books_agree(settings: Settings) -> None:
    made, held = await until_stored(settings, _WITHIN_S)
    assert made
    assert {key: held[key] for key in made} == made
    assert held.keys() == made.keys()


async def committed_decisions(settings: Settings) -> int:
    done = await committed(settings)
    return sum(
        offset
        for (group, p), offset in done.items()
        if (group, p.topic) == (settings.topics.sink_group, settings.topics.decisions)
    )


async def until_committed(settings: Settings) -> None:
    """Until the sink has done with all but the period that the last tick began."""
    async with asyncio.timeout(_WITHIN_S), open_consumer(settings, group=None) as consumer:
        partitions = [TopicPartition(settings.topics.decisions, number) for number in range(settings.partitions)]
        while sum((await consumer.end_offsets(partitions)).values()) - await committed_decisions(settings) > len(SITES):
            await asyncio.sleep(0.2)


async def series(settings: Settings) -> int:
    return len(await query(settings, "SHOW SERIES"))
