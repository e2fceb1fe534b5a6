"""Reads the records that a topic holds now, for the commands of operators. Nothing is committed."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from models.errors import FairrollError
from models.settings import Settings
from stream_processors.runtime.consumer_lag import partitions_of
from stream_processors.runtime.kafka import batches_to_end, open_consumer

__all__ = ["KafkaAway", "read_records", "seek_back", "stream_records"]

_PATIENCE_S = 60
"""without a record"""
_T = TypeVar("_T")


class KafkaAway(FairrollError):
    """Kafka or the topic is unavailable."""


async def read_records(settings: Settings, topic: str, newest_s: float | None = None) -> list[ConsumerRecord]:
    """Return the records of a topic, of the last `newest_s` seconds or all of them, in the order of time.

    Raises KafkaAway, at the latest after a minute without a record.
    """
    records = [record async for record in stream_records(settings, topic, newest_s)]
    return sorted(records, key=lambda record: record.timestamp)


async def stream_records(
    settings: Settings, topic: str, newest_s: float | None = None, partitions: int | None = None
) -> AsyncIterator[ConsumerRecord]:
    """Yield the records of a topic, in order within a partition; only a few megabytes are in memory at a time.

    `partitions`: their number, for a topic that is not ours. Raises KafkaAway as `read_records` does.
    """
    numbers = partitions_of(settings, topic)
    if partitions is not None:
        numbers = [TopicPartition(topic, number) for number in range(partitions)]
    try:
        async with open_consumer(settings, group=None) as consumer:
            consumer.assign(numbers)
            async with asyncio.timeout(_PATIENCE_S):
                await seek_back(consumer, numbers, newest_s)
            async for batch in _in_time(batches_to_end(consumer, numbers)):
                for record in batch:
                    yield record
    except (KafkaError, TimeoutError) as error:
        raise KafkaAway(f"cannot read {topic} at {settings.kafka_named}: {error!r}") from None


async def _in_time(batches: AsyncIterator[_T]) -> AsyncIterator[_T]:
    """Yield the batches; raises TimeoutError if the next one does not come in time."""
    while True:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                batch = await anext(batches)
        except StopAsyncIteration:
            return
        yield batch


async def seek_back(consumer: AIOKafkaConsumer, partitions: list[TopicPartition], newest_s: float | None) -> None:
    """Seek to the first record of the last `newest_s` seconds, or to the beginning."""
    await consumer.seek_to_beginning(*partitions)
    if newest_s is None:
        return
    since_ms = int((time.time() - newest_s) * 1000)
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
    ends = await consumer.end_offsets(partitions)
    for partition in partitions:
        consumer.seek(partition, found[partition].offset if found[partition] else ends[partition])
