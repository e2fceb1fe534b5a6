"""Deciders on real brokers: one joins and leaves under load, one is killed; nothing is lost or decided otherwise."""

import asyncio
import os
import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from msgspec import structs

from infra.local.ports import Ports
from infra.local.programs import BROKERS
from infra.local.stack import LocalStack
from infra.setup.provision import provision
from models.contract.codec import encode
from models.contract.messages import ButtonPressed, Dispense, FaceSeen, Refuse
from models.contract.topics import Topics
from models.keys.key_files import PIPELINE_KEY, parse_key
from models.ledger.codec import decode_event, decode_outcome
from models.ledger.events import Record, Requested
from models.ledger.outcomes import Answered
from models.ledger.partition import Partition
from models.settings import Settings
from stream_processors.runtime.kafka import open_admin, open_consumer, open_producer
from tests.support.services import Service, running
from tests.support.story import MODEL, template

TOPICS = Topics()

SITES = [f"s{number}" for number in range(8)]
REQUESTS = 3_000
PER_SECOND = 150


async def test_a_decider_joins_and_leaves_under_load(tmp_path: Path) -> None:
    (tmp_path / "sites.toml").write_text("".join(f'[sites.{s}]\nmode = "face"\ndevices = ["d"]\n' for s in SITES))
    environ = {"FAIRROLL_SITES": str(tmp_path / "sites.toml")}
    async with LocalStack(tmp_path, programs=(*BROKERS, "decider"), ports=Ports.free(), environ=environ) as stack:
        async with open_producer(stack.settings) as producer, asyncio.TaskGroup() as tasks:
            tasks.create_task(_ask(producer))
            await asyncio.sleep(REQUESTS / PER_SECOND / 5)
            async with _second_decider(stack.settings, tmp_path / "second"):
                await asyncio.sleep(REQUESTS / PER_SECOND / 3)
        await _until_all_are_decided(stack.settings)
        await _check(stack.settings)


async def test_a_killed_decider_remembers_who_was_served(tmp_path: Path) -> None:
    async with (
        _at_the_park(tmp_path) as stack,
        open_producer(stack.settings) as producer,
        open_consumer(stack.settings, TOPICS.decisions, group=None) as decisions,
    ):
        first = await _decided(producer, decisions, "request-before-00")
        await stack.kill("decider")
        await stack.start("decider")
        second = await _decided(producer, decisions, "request-after-001")
    assert isinstance(first.command, Dispense)
    assert isinstance(second.command, Refuse)
    assert second.visitor == first.visitor


async def test_a_frozen_decider_ends_when_it_wakes_and_the_next_one_remembers(tmp_path: Path) -> None:
    async with (
        _at_the_park(tmp_path) as stack,
        open_producer(stack.settings) as producer,
        open_consumer(stack.settings, TOPICS.decisions, group=None) as decisions,
    ):
        first = await _decided(producer, decisions, "request-before-00")
        frozen = stack["decider"]
        assert frozen.pid
        os.kill(frozen.pid, signal.SIGSTOP)
        async with _second_decider(stack.settings, tmp_path / "second"):
            second = await _decided(producer, decisions, "request-after-001")
            os.kill(frozen.pid, signal.SIGCONT)
            async with asyncio.timeout(10):
                while frozen.is_running:
                    await asyncio.sleep(0.1)
            third = await _decided(producer, decisions, "request-after-002")
        await stack.kill("decider")
    assert isinstance(first.command, Dispense)
    assert isinstance(second.command, Refuse)
    assert isinstance(third.command, Refuse)
    assert first.visitor == second.visitor == third.visitor


async def test_a_decision_that_kafka_did_not_store_is_not_remembered(tmp_path: Path) -> None:
    """Rows and decisions lie in different topics: Kafka may take the one and not the other."""
    async with (
        _at_the_park(tmp_path) as stack,
        open_producer(stack.settings) as producer,
    ):
        async with open_consumer(stack.settings, TOPICS.decisions, group=None) as decisions:
            await _decided(producer, decisions, "request-before-00")
        async with open_admin(stack.settings) as admin:
            await admin.delete_topics([TOPICS.decisions])
        await _ask_as_ann(producer, "request-unsent-01")
        async with asyncio.timeout(20):
            while stack["decider"].is_running:
                await asyncio.sleep(0.1)
        await provision(stack.settings)
        await stack.start("decider")
        async with open_consumer(stack.settings, TOPICS.decisions, group=None) as decisions:
            answer = await _answer_of(decisions, "request-unsent-01")
    assert isinstance(answer.command, Refuse)
    assert not answer.repeated


def _at_the_park(folder: Path) -> LocalStack:
    """Brokers, and a decider of one site with faces."""
    (folder / "sites.toml").write_text('[sites.park]\nmode = "face"\ndevices = ["d"]\n')
    environ = {"FAIRROLL_SITES": str(folder / "sites.toml")}
    return LocalStack(folder, programs=(*BROKERS, "decider"), ports=Ports.free(), environ=environ)


async def _ask_as_ann(producer: AIOKafkaProducer, request_id: str) -> None:
    face = FaceSeen(id=request_id, model=MODEL, template=template("ann"))
    await producer.send_and_wait(TOPICS.events, encode(Requested(site="park", device="d", request=face)), key=b"park")


async def _decided(producer: AIOKafkaProducer, decisions: AIOKafkaConsumer, request_id: str) -> Answered:
    """Ann asks; what was decided of it."""
    await _ask_as_ann(producer, request_id)
    return await _answer_of(decisions, request_id)


async def _answer_of(decisions: AIOKafkaConsumer, request_id: str) -> Answered:
    async with asyncio.timeout(60):
        async for record in decisions:
            outcome = decode_outcome(record.value)
            if isinstance(outcome, Answered) and outcome.command.request == request_id:
                return outcome
    raise AssertionError


async def _ask(producer: AIOKafkaProducer) -> None:
    for number in range(REQUESTS):
        request_id = f"request-{number:010}"
        face = FaceSeen(id=request_id, model=MODEL, template=template(f"person {number % 700}"))
        request = face if number % 3 else ButtonPressed(id=request_id)
        site = SITES[number % len(SITES)]
        await producer.send(TOPICS.events, encode(Requested(site=site, device="d", request=request)), key=site.encode())
        await asyncio.sleep(1 / PER_SECOND)
    await producer.flush()


def _second_decider(settings: Settings, data: Path) -> AbstractAsyncContextManager[None]:
    return running(Service("decider", structs.replace(settings, data=data)))


async def _until_all_are_decided(settings: Settings) -> None:
    decided: set[str] = set()
    async with asyncio.timeout(60), open_consumer(settings, TOPICS.decisions, group=None) as consumer:
        async for record in consumer:
            outcome = decode_outcome(record.value)
            if isinstance(outcome, Answered):
                decided.add(outcome.command.request)
            if len(decided) == REQUESTS:
                return


async def _check(settings: Settings) -> None:
    """Fold what Kafka has with a plain fold, and compare, byte for byte, with what the two workers sent."""
    secret = parse_key((settings.secrets / PIPELINE_KEY).read_text(), "")
    events, decisions = await _read(settings, TOPICS.events), await _read(settings, TOPICS.decisions)
    answered = 0
    for number in range(settings.partitions):
        partition = Partition(secret)
        expected = {}
        for offset, at, value in events[number]:
            for outcome in partition.fold(Record(offset=offset, at=at, event=decode_event(value))).outcomes:
                if isinstance(outcome, Answered):
                    expected[offset] = encode(outcome)
        decided: dict[int, set[bytes]] = {}
        for _, _, value in decisions[number]:
            outcome = decode_outcome(value)
            if isinstance(outcome, Answered) and not outcome.repeated:
                decided.setdefault(outcome.offset, set()).add(value)
        assert {offset: {value} for offset, value in expected.items()} == decided
        answered += len(decided)
    assert answered == REQUESTS


async def _read(settings: Settings, topic: str) -> dict[int, list[tuple[int, int, bytes]]]:
    found: dict[int, list[tuple[int, int, bytes]]] = {}
    async with open_consumer(settings, group=None) as consumer:
        partitions = [TopicPartition(topic, number) for number in range(settings.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        for partition, end in ends.items():
            rows = found.setdefault(partition.partition, [])
            while (rows[-1][0] if rows else -1) < end - 1:
                for record in (await consumer.getmany(partition, timeout_ms=500)).get(partition, []):
                    rows.append((record.offset, record.timestamp, record.value))
    return found
