"""Egress: from Kafka to MQTT. A decision counts as handed over once the broker has acknowledged its command."""

import asyncio
import time
from collections.abc import Iterable
from typing import NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from models.codec import decode_control, decode_outcome, encode
from models.errors import MalformedMessage
from models.outcomes import Answered, Outcome, ReportKept
from models.settings import Settings
from models.topics import CONTROLS, DECISIONS, DeviceTopic, control_topic
from stream_processors.kafka import open_consumer
from stream_processors.mqtt import Session, open_session
from stream_processors.service import announce_ready, serve

__all__ = ["Command", "on_outcome", "run"]

log = structlog.get_logger()

_GROUP = "fairroll.egress"
_RECEIVE_MAXIMUM = 10
_COMMIT_EVERY_S = 0.5


class Command(NamedTuple):
    """What goes out over MQTT."""

    topic: str
    payload: bytes
    expiry_s: int | None


def on_outcome(outcome: Outcome, now_ms: int) -> Command | None:
    """Turn a decision into a dispenser's command; None where there is nobody to tell.

    A command that comes too late is published all the same, for the dispenser's `declined` gives it back.
    """
    match outcome:
        case Answered():
            expiry_s = max(1, (outcome.expires_at - now_ms) // 1000) if outcome.expires_at is not None else None
        case ReportKept():
            expiry_s = None
        case _:
            return None
    return Command(str(DeviceTopic(outcome.site, outcome.device, "command")), encode(outcome.command), expiry_s)


def run(settings: Settings) -> None:
    """Serve until told to stop; several instances share the partitions."""
    serve(lambda: _carry(settings))


async def _carry(settings: Settings) -> None:
    async with (
        open_session(settings, f"egress-{settings.instance}", _RECEIVE_MAXIMUM) as session,
        open_consumer(settings, DECISIONS, group=_GROUP) as decisions,
        open_consumer(settings, CONTROLS, group=None) as controls,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(_publish_controls(session, controls), name="controls")
        tasks.create_task(_publish_commands(session, decisions), name="commands")
        announce_ready(f"egress {settings.instance}")


async def _publish_controls(session: Session, controls: AIOKafkaConsumer) -> None:
    """Publish every site's control, retained, from the beginning: the broker may have lost what it retained."""
    async for record in controls:
        control = decode_control(record.value)
        await session.publish(control_topic(control.site), encode(control), retain=True)


async def _publish_commands(session: Session, decisions: AIOKafkaConsumer) -> None:
    """Publish, then commit: after a crash some commands come twice, and dispensers know them again."""
    committed, uncommitted = time.monotonic(), False
    while True:
        batches = await decisions.getmany(timeout_ms=int(_COMMIT_EVERY_S * 1000))
        await _publish_all(session, (record for batch in batches.values() for record in batch))
        uncommitted = uncommitted or bool(batches)
        if uncommitted and time.monotonic() - committed >= _COMMIT_EVERY_S:
            await decisions.commit()
            committed, uncommitted = time.monotonic(), False


async def _publish_all(session: Session, records: Iterable[ConsumerRecord]) -> None:
    now_ms = time.time_ns() // 1_000_000
    commands = [command for record in records if (command := _command(record, now_ms))]
    await asyncio.gather(*(session.publish(c.topic, c.payload, expiry_s=c.expiry_s) for c in commands))


def _command(record: ConsumerRecord, now_ms: int) -> Command | None:
    try:
        return on_outcome(decode_outcome(record.value), now_ms)
    except MalformedMessage as error:  # a newer decider's word; the partition must go on
        log.error("unreadable decision", partition=record.partition, offset=record.offset, reason=str(error))
        return None
