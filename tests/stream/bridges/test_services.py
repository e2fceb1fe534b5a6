"""Ingress and egress on real brokers: shared work, an orderly stop, a sudden end, brokers that are away."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Literal

import aiomqtt
import pytest
import pytest_asyncio

from infra.local.ports import Ports
from infra.local.programs import BROKERS
from infra.local.stack import LocalStack
from infra.setup.provision import provision_topics
from models.contract.codec import decode_command, encode
from models.contract.messages import Dispense, Stock
from models.contract.topics import kafka_topics
from models.ledger.codec import decode_event
from models.ledger.events import Reported
from models.ledger.outcomes import Answered
from models.ledger.rules.policy import Sites, SiteSpec
from models.settings import Settings, host_and_port
from stream_processors.runtime.kafka import open_consumer, open_producer
from stream_processors.runtime.mqtt import open_session
from tests.support.registry import register
from tests.support.services import Service, away, frozen, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

PER_SECOND = 300
MOST_UNDER_WAY = 500
"""what may wait for Kafka"""
SITES = [f"s{number}" for number in range(8)]

_numbers = count(1)
"""no two messages of this module carry the same"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    folder = tmp_path_factory.mktemp("services")
    environ = {"FAIRROLL_DEVICE_REPORTS_PER_S": "1000000"}
    async with LocalStack(folder, programs=BROKERS, ports=Ports.free(), environ=environ) as stack:
        await provision_topics(stack.settings, kafka_topics(stack.settings.topics, stack.settings.partitions, 540))
        await register(stack.settings, Sites(sites={"park": SiteSpec(devices=("gate",))}))
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def settings(stack: LocalStack) -> AsyncIterator[Settings]:
    """Leaves no session behind: it would keep its share of what the next test publishes."""
    yield stack.settings
    for instance in ("1", "2"):
        async with _client(stack.settings, f"ingress-{instance}"):
            pass


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_nothing_is_lost_when_one_of_two_ingresses_ends_under_load(
    settings: Settings, end: Literal["stop", "kill"]
) -> None:
    first, second = Service("ingress", settings, "1"), Service("ingress", settings, "2")
    async with running(first, second):
        reports = _take(600)
        publishing = asyncio.create_task(_report(settings, reports))
        for ingress in (first, second):
            await ingress.until_count("kept", 20)
        await (second.stop() if end == "stop" else second.kill())
        await asyncio.sleep(0.3)
        await second.start()
        await publishing
        found = await _until_kafka_has(settings, reports)
        assert (await first.vitals())[1].counts["kept"] < len(reports)
    if end == "stop":  # what was under way was acknowledged, so nothing came twice
        assert len(found) == len(reports)


async def test_nothing_is_acknowledged_before_kafka_has_it(stack: LocalStack, settings: Settings) -> None:
    ingress = Service("ingress", settings)
    async with running(ingress):
        await _report(settings, _take(10))
        await ingress.until_count("kept", 10)
        reports = _take(1_000)
        with frozen(stack, "kafka"):
            await _report(settings, reports, per_second=5_000)
            vitals = await ingress.until_not_ready("kafka does not answer")
            assert vitals.alive
            assert vitals.counts["kept"] == 10
            assert 10 < vitals.counts["sent"] <= 10 + MOST_UNDER_WAY
            await ingress.stop()
        await ingress.start()
        await _until_kafka_has(settings, reports)
        await ingress.until_ready()


async def test_a_second_signal_ends_a_service_at_once(stack: LocalStack, settings: Settings) -> None:
    ingress = Service("ingress", settings)
    async with running(ingress):
        await _report(settings, _take(10))
        await ingress.until_count("kept", 10)  # it knows the topic now: what comes next is under way
        with frozen(stack, "kafka"):
            await _report(settings, _take(10))
            await ingress.until_count("sent", 11)
            ingress.child.terminate()
            await asyncio.sleep(0.3)
            assert ingress.child.returncode is None
            ingress.child.terminate()
            assert await asyncio.wait_for(ingress.child.wait(), 2) == -signal.SIGTERM


async def test_a_service_is_not_ready_while_mosquitto_is_away(stack: LocalStack, settings: Settings) -> None:
    ingress, egress = Service("ingress", settings), Service("egress", settings)
    async with running(ingress, egress):
        for service in (ingress, egress):
            await service.until_ready()
        async with away(stack, "mosquitto"):
            for service in (ingress, egress):
                assert (await service.until_not_ready("broker lost: ")).alive
        for service in (ingress, egress):
            await service.until_ready()


async def test_a_message_that_waits_to_be_read_knows_since_when(settings: Settings) -> None:
    async with open_session(settings, "reader", 10) as session, _client(settings, "writer") as client:
        await session.subscribe("waiting")
        await client.publish("waiting", b"paper", qos=1)
        published = time.monotonic()
        await asyncio.sleep(0.3)
        message = await asyncio.wait_for(anext(session.messages), 5)
        session.acknowledge(message)
    assert message.payload == b"paper"
    assert message.at < published + 0.2


async def test_every_command_arrives_when_one_of_two_egresses_is_stopped(settings: Settings) -> None:
    first, second = Service("egress", settings, "1"), Service("egress", settings, "2")
    async with running(first, second), _commands(settings) as arrived:
        decisions = _take(600)
        deciding = asyncio.create_task(_decide(settings, decisions))
        for egress in (first, second):
            await egress.until_count("commands", 20)
        await second.stop()
        await deciding
        await _until_all_are_in(arrived, decisions)


async def test_what_egress_cannot_read_is_a_fault_and_stops_nothing(settings: Settings) -> None:
    egress = Service("egress", settings)
    async with running(egress), _commands(settings) as arrived:
        async with open_producer(settings) as producer:
            await producer.send_and_wait(settings.topics.decisions, b'{"kind":"later"}', key=b"s0")
            await producer.send_and_wait(settings.topics.controls, b"torn", key=b"s0")
        decisions = _take(8)
        await _decide(settings, decisions)
        await _until_all_are_in(arrived, decisions)
        _, vitals = await egress.vitals()
        assert vitals.counts["unreadable"] == 2
        assert vitals.last_fault
        assert vitals.last_fault.text.startswith("unreadable ")


def _take(number: int) -> Sequence[int]:
    return [next(_numbers) for _ in range(number)]


def _client(settings: Settings, identifier: str) -> aiomqtt.Client:
    """With a session that ends with its connection."""
    host, port = host_and_port(settings.mqtt)
    return aiomqtt.Client(host, port, identifier=identifier, protocol=aiomqtt.ProtocolVersion.V5, clean_start=True)


async def _report(settings: Settings, numbers: Sequence[int], per_second: int = PER_SECOND) -> None:
    """Publish each number once; returns when the broker has acknowledged all."""
    async with _client(settings, "dispenser") as client:
        for number in numbers:
            await client.publish("fairroll/v1/park/gate/report", encode(Stock(number=number, cm=9)), qos=1)
            await asyncio.sleep(1 / per_second)


async def _until_kafka_has(settings: Settings, numbers: Sequence[int]) -> list[int]:
    """Those of the numbers that are in Kafka, as often as they are."""
    wanted = set(numbers)
    found: list[int] = []
    async with asyncio.timeout(30), open_consumer(settings, settings.topics.events, group=None) as events:
        while not wanted <= set(found):
            for record in (record for batch in (await events.getmany(timeout_ms=200)).values() for record in batch):
                event = decode_event(record.value)
                assert isinstance(event, Reported)
                found.extend({event.report.number} & wanted)
    return found


async def _decide(settings: Settings, numbers: Sequence[int], per_second: int = PER_SECOND) -> None:
    async with open_producer(settings) as producer:
        for number in numbers:
            site = SITES[number % len(SITES)]
            command = Dispense(request=f"request-{number:010}", cm=60)
            at = time.time_ns() // 1_000_000
            outcome = Answered(site=site, device="d", offset=number, at=at, by="button", command=command)
            await producer.send(settings.topics.decisions, encode(outcome), key=site.encode())
            await asyncio.sleep(1 / per_second)


@asynccontextmanager
async def _commands(settings: Settings) -> AsyncIterator[set[str]]:
    """The ids of the requests that were answered over MQTT, as they arrive."""
    arrived: set[str] = set()

    async def read(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            command = decode_command(bytes(message.payload))
            assert isinstance(command, Dispense)
            arrived.add(command.request)

    async with _client(settings, "dispensers") as client, asyncio.TaskGroup() as tasks:
        await client.subscribe("fairroll/v1/+/+/command", qos=1)
        reading = tasks.create_task(read(client))
        yield arrived
        reading.cancel()


async def _until_all_are_in(arrived: set[str], numbers: Sequence[int]) -> None:
    expected = {f"request-{number:010}" for number in numbers}
    async with asyncio.timeout(30):
        while not expected <= arrived:
            await asyncio.sleep(0.05)
