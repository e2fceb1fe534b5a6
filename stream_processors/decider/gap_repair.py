"""What Faust left out: events between the offset that was folded last and the next that it delivered."""

from collections.abc import AsyncIterator

import structlog
from aiokafka import TopicPartition

from models.settings import Settings
from stream_processors.decider.ledger import Message
from stream_processors.runtime.kafka import open_consumer

__all__ = ["missing_messages"]

log = structlog.get_logger()

_READ_MS = 1000


async def missing_messages(settings: Settings, partition: int, first: int, end: int) -> AsyncIterator[Message]:
    """Read `first` up to `end`, without it, from Kafka, as far as they are still there."""
    if first >= end:
        return
    events = TopicPartition(settings.topics.events, partition)
    async with open_consumer(settings, group=None) as consumer:
        consumer.assign([events])
        at = max(first, (await consumer.beginning_offsets([events]))[events])
        log.error("jump", partition=partition, folded=first - 1, delivered=end, repaired=end - at, gone=at - first)
        consumer.seek(events, at)
        while at < end:
            for record in (await consumer.getmany(events, timeout_ms=_READ_MS)).get(events, []):
                at = record.offset + 1
                if record.offset < end:
                    yield Message(partition, record.offset, record.timestamp, record.value)
