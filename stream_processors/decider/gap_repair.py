"""Reads events that Faust skipped: those between the last folded offset and the next delivered one."""

from collections.abc import AsyncIterator, Sequence

from aiokafka import TopicPartition

from models.settings import Settings
from stream_processors.decider.ledger import Message
from stream_processors.runtime.health import Health
from stream_processors.runtime.kafka import open_consumer, report_lost

__all__ = ["missing_messages", "without_gaps"]

_READ_MS = 1000


async def without_gaps(
    settings: Settings, health: Health, messages: Sequence[Message], next_offset: int
) -> AsyncIterator[Sequence[Message]]:
    """Yield the messages of a partition in their order, in parts: those that are missing are read from Kafka.

    `next_offset` follows the offset that was folded last; messages below it are redelivered, and are yielded as well.
    """
    begin = 0
    for position, message in enumerate(messages):
        if message.offset > next_offset:
            if position > begin:
                yield messages[begin:position]
            begin = position
            async for missing in missing_messages(settings, health, message.partition, next_offset, message.offset):
                yield missing
        next_offset = max(next_offset, message.offset + 1)
    yield messages[begin:]


async def missing_messages(
    settings: Settings, health: Health, partition: int, first: int, end: int
) -> AsyncIterator[Sequence[Message]]:
    """Read the events from `first` up to `end`, without it. Those that Kafka has deleted are counted and reported."""
    events = TopicPartition(settings.topics.events, partition)
    async with open_consumer(settings, group=None) as consumer:
        consumer.assign([events])
        start = (await consumer.beginning_offsets([events]))[events]
        at = min(max(first, start), end)
        if at > first:
            report_lost(health, events, first, at)
        if at < end:
            health.fault(f"{events.topic}/{partition}: offsets {at} to {end - 1} were skipped, and are read again")
        consumer.seek(events, at)
        while at < end:
            records = (await consumer.getmany(events, timeout_ms=_READ_MS)).get(events, [])
            if missing := [Message.of(record) for record in records if record.offset < end]:
                health.count("repaired", len(missing))
                yield missing
            if records:
                at = records[-1].offset + 1
