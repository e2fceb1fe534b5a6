"""Egress: from Kafka to MQTT. A decision counts as handed over once the broker has acknowledged its command."""

import asyncio
import time
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from models.contract.codec import encode
from models.contract.messages import MAX_EXPIRY_S
from models.contract.topics import Topics
from models.errors import MalformedMessage
from models.ledger.codec import decode_outcome
from models.ledger.outcomes import Answered, Outcome, ReportKept
from models.settings import Settings
from stream_processors.egress.control_signer import ControlSigner, read_signer
from stream_processors.egress.controls import ControlKeeper
from stream_processors.runtime.health import Health
from stream_processors.runtime.kafka import commit, fetch, kafka_answers, next_offsets, open_consumer
from stream_processors.runtime.mqtt import Session, open_session, read_retained
from stream_processors.runtime.pipeline_identity import check_kafka, check_retained, own_id
from stream_processors.runtime.service import announce_ready, drain, serve, unbroken

__all__ = ["Command", "on_outcome", "run"]

_RECEIVE_MAXIMUM = 10
_MOST_RECORDS = 200
"""Most commands of a batch, which a stop waits for. aiomqtt slows down with larger batches."""
_COMMIT_EVERY_S = 0.5


class Command(NamedTuple):
    """What goes out over MQTT."""

    topic: str
    payload: bytes
    expiry_s: int | None


def on_outcome(outcome: Outcome, now_ms: int, topics: Topics) -> Command | None:
    """Turn a decision into a dispenser's command; None for other outcomes.

    A command that comes too late is published all the same, for the dispenser's `declined` gives it back.
    """
    match outcome:
        case Answered():
            expiry_s = None if outcome.expires_at is None else _expiry_s(outcome.expires_at - now_ms)
        case ReportKept():
            expiry_s = None
        case _:
            return None
    topic = topics.device(outcome.site, outcome.device, "command")
    return Command(topic, encode(outcome.command), expiry_s)


def _expiry_s(left_ms: int) -> int:
    """Whole seconds that MQTT can carry: what is left may be nothing, or, on a clock behind Kafka's, more than that."""
    return min(max(1, left_ms // 1000), MAX_EXPIRY_S)


def run(settings: Settings) -> None:
    """Serve until stopped; several instances share the partitions."""
    signer = read_signer(settings)
    health = Health("egress", settings.instance, counts=("commands", "controls", "repaired_controls", "unreadable"))
    serve(lambda: _carry(settings, signer, health), health, settings)


async def _carry(settings: Settings, signer: ControlSigner, health: Health) -> None:
    session_name = f"egress-{settings.instance}"
    recorded = await check_kafka(settings, own_id(settings))
    retained = await read_retained(settings, session_name, settings.topics.mqtt_pipeline)
    check_retained(settings, retained, recorded)
    async with (
        open_session(settings, session_name, _RECEIVE_MAXIMUM) as session,
        open_consumer(settings, settings.topics.decisions, group=settings.topics.egress_group) as decisions,
        open_consumer(settings, settings.topics.controls, group=None) as controls,
        asyncio.TaskGroup() as tasks,
    ):
        if recorded and not retained:
            await session.publish(settings.topics.mqtt_pipeline, recorded.encode(), retain=True)
        keeper = ControlKeeper(session, controls, settings.topics, health, signer)
        connection = tasks.create_task(keeper.watch(), name="connection")
        tasks.create_task(health.watch(kafka=partial(kafka_answers, decisions)), name="health")
        tasks.create_task(keeper.publish(), name="controls")
        tasks.create_task(_publish_commands(session, decisions, settings.topics, connection, health), name="commands")
        announce_ready(f"egress {settings.instance}")


async def _publish_commands(
    session: Session, decisions: AIOKafkaConsumer, topics: Topics, connection: "asyncio.Task[None]", health: Health
) -> None:
    """Publish, then commit: after a crash some commands come twice, and dispensers know them again.

    On a stop, the current batch is published and committed.
    """
    published: dict[TopicPartition, int] = {}
    committed = time.monotonic()
    try:
        while True:
            batches = await fetch(decisions, health, timeout_ms=int(_COMMIT_EVERY_S * 1000), max_records=_MOST_RECORDS)
            batch = [record for records in batches.values() for record in records]
            await unbroken(_publish_all(session, batch, topics, published, health), connection)
            if published and time.monotonic() - committed >= _COMMIT_EVERY_S:
                await commit(decisions, published)
                published.clear()
                committed = time.monotonic()
    finally:
        await drain(commit(decisions, published))


async def _publish_all(
    session: Session,
    batch: Iterable[ConsumerRecord],
    topics: Topics,
    published: dict[TopicPartition, int],
    health: Health,
) -> None:
    """Return after all PUBACKs, with what may be committed then in `published`."""
    now_ms = time.time_ns() // 1_000_000
    commands = [command for record in batch if (command := _command(record, now_ms, topics, health))]
    with health.at_work():
        await session.publish_all(commands)
    published.update(next_offsets(batch))
    health.count("commands", len(commands))


def _command(record: ConsumerRecord, now_ms: int, topics: Topics, health: Health) -> Command | None:
    try:
        return on_outcome(decode_outcome(record.value or b""), now_ms, topics)
    except MalformedMessage as error:  # written by a newer decider; the partition must continue
        health.count("unreadable")
        health.fault(f"unreadable decision at {record.partition}/{record.offset}: {error}")
        return None
