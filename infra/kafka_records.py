"""Reading Kafka as an operator does: what a topic holds now. Nothing is committed."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from models.errors import FairrollError
from models.settings import Settings
from stream_processors.runtime.consumer_lag import partitions_of
from stream_processors.runtime.kafka import open_consumer, read_to_end

__all__ = ["KafkaAway", "read_records", "seek_back"]

_PATIENCE_S = 60


class KafkaAway(FairrollError):
    """Kafka, or the topic, is not to be had now."""


async def read_records(settings: Settings, topic: str, newest_s: float | None = None) -> list[ConsumerRecord]:
    """What the topic holds now, of the last `newest_s` seconds or all of it, in the order of time.

    Raises KafkaAway, at the latest after a minute.
    """
    try:
        async with asyncio.timeout(_PATIENCE_S), open_consumer(settings, group=None) as consumer:
            partitions = partitions_of(settings, topic)
            consumer.assign(partitions)
            await seek_back(consumer, partitions, newest_s)
            records = await read_to_end(consumer, partitions)
    except (KafkaError, TimeoutError) as error:
        raise KafkaAway(f"cannot read {topic} at {settings.kafka_named}: {error!r}") from None
    return sorted(records, key=lambda record: record.timestamp)


async def seek_back(consumer: AIOKafkaConsumer, partitions: list[TopicPartition], newest_s: float | None) -> None:
    """Go to the first record of the last `newest_s` seconds, or to the beginning."""
    await consumer.seek_to_beginning(*partitions)
    if newest_s is None:
        return
    since_ms = int((time.time() - newest_s) * 1000)
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
    ends = await consumer.end_offsets(partitions)
    for partition in partitions:
        consumer.seek(partition, found[partition].offset if found[partition] else ends[partition])
