"""What Faust left out: events between the offset that was folded last and the next that it delivered."""

from collections.abc import AsyncIterator

from aiokafka import TopicPartition

from models.settings import Settings
from stream_processors.decider.ledger import Message
from stream_processors.runtime.health import Health
from stream_processors.runtime.kafka import open_consumer, report_lost

__all__ = ["missing_messages"]

_READ_MS = 1000


async def missing_messages(
    settings: Settings, health: Health, partition: int, first: int, end: int
) -> AsyncIterator[Message]:
    """Read the events from `first` up to `end`, without it. Those that Kafka has deleted are counted and reported."""
    if first >= end:
        return
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
            for record in (await consumer.getmany(events, timeout_ms=_READ_MS)).get(events, []):
                at = record.offset + 1
                if record.offset < end:
                    health.count("repaired")
                    yield Message(partition, record.offset, record.timestamp, record.value)
