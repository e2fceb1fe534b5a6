"""Appending events as an operator does."""

import asyncio
from collections.abc import Iterable

from aiokafka.errors import KafkaError

from infra.kafka_records import KafkaAway
from models.contract.codec import encode
from models.ledger.events import SiteEvent
from models.settings import Settings
from stream_processors.runtime.kafka import open_producer

__all__ = ["Spot", "append_events"]

Spot = tuple[int, int]
"""partition and offset of an event"""
_APPEND_S = 15.0


async def append_events(settings: Settings, events: Iterable[SiteEvent]) -> list[Spot]:
    """Append events to their sites' partitions. Raises KafkaAway."""
    try:
        async with asyncio.timeout(_APPEND_S), open_producer(settings) as producer:
            sent = [await producer.send(settings.topics.events, encode(event), event.site.encode()) for event in events]
            appended = await asyncio.gather(*sent)
    except (KafkaError, TimeoutError) as error:
        raise KafkaAway(f"it could not be appended: no Kafka at {settings.kafka_named}: {error!r}") from None
    return [(record.partition, record.offset) for record in appended]
