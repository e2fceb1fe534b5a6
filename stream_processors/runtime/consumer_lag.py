"""The lag of the consumer groups in their topics."""

import asyncio
import time
from collections.abc import Iterable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.structs import OffsetAndMetadata
from msgspec import Struct

from models.contract.topics import Topics
from models.settings import Settings
from stream_processors.runtime.kafka import open_admin, open_consumer

__all__ = ["ConsumerLag", "committed", "consumer_lag", "partitions_of", "read_consumer_lag", "reads"]

_LOOK_AGAIN_S = 0.2
_READ_S = 2.0
_ONE_RECORD_BYTES = 4096
"""Bytes per fetch: only the first uncommitted record is needed."""

Reader = tuple[str, TopicPartition]
"""A group and a partition that it reads."""
Place = tuple[TopicPartition, int]
"""A partition and an offset in it."""


class ConsumerLag(Struct, frozen=True, kw_only=True):
    """The lag of a consumer group in a topic."""

    group: str
    topic: str
    records: int
    """appended and not committed yet; groups commit every few seconds, the sink what lies in closed periods"""
    seconds: float = 0.0
    """age of the oldest of these"""
    lost: int = 0
    """records that Kafka deleted before the group read them, until the group has committed past them"""


def reads(topics: Topics) -> dict[str, tuple[str, ...]]:
    """Return the topics that each consumer group reads."""
    return {
        topics.decider_group: (topics.events,),
        topics.egress_group: (topics.decisions,),
        topics.sink_group: (topics.decisions, topics.states, topics.controls, topics.receipts, topics.dead_letters),
    }


def partitions_of(settings: Settings, topic: str) -> list[TopicPartition]:
    """Return a topic's partitions. All topics are co-partitioned by site, except dead letters and the pipeline's id."""
    count = 1 if topic in {settings.topics.dead_letters, settings.topics.pipeline} else settings.partitions
    return [TopicPartition(topic, number) for number in range(count)]


async def committed(settings: Settings) -> dict[Reader, int]:
    """Return the committed offset of each group, which it reads next; groups without a commit are left out."""
    async with open_admin(settings) as admin:
        return {
            (group, partition): kept.offset
            for group in reads(settings.topics)
            for partition, kept in (await _offsets(admin, group)).items()
        }


async def read_consumer_lag(settings: Settings) -> list[ConsumerLag]:
    """Return the lag of every group. A group without a commit in a partition lags by all of its records."""
    done = await committed(settings)
    readers = [
        (group, p)
        for group, topics in reads(settings.topics).items()
        for topic in topics
        for p in partitions_of(settings, topic)
    ]
    async with open_consumer(settings, group=None, fetch_bytes=_ONE_RECORD_BYTES) as consumer:
        partitions = {partition for _, partition in readers}
        consumer.assign(partitions)
        beginnings, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        nexts = {reader: done.get(reader, beginnings[reader[1]]) for reader in readers}
        behind = {(p, max(n, beginnings[p])) for (_, p), n in nexts.items() if max(n, beginnings[p]) < ends[p]}
        return consumer_lag(nexts, beginnings, ends, await _ages(consumer, behind))


def consumer_lag(
    nexts: Mapping[Reader, int],
    beginnings: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    ages: Mapping[Place, float],
) -> list[ConsumerLag]:
    """Compute the lag of each group in each topic.

    Args:
        nexts: the offset that it reads next
        beginnings: the first offset that Kafka still has
        ends: the offset of the next record that will be appended
        ages: seconds
    """
    parts: dict[tuple[str, str], list[Place]] = {}
    for (group, partition), offset in nexts.items():
        parts.setdefault((group, partition.topic), []).append((partition, offset))
    return [
        ConsumerLag(
            group=group,
            topic=topic,
            records=sum(max(0, ends[p] - max(offset, beginnings[p])) for p, offset in places),
            seconds=max(ages.get((p, max(offset, beginnings[p])), 0.0) for p, offset in places),
            lost=sum(max(0, beginnings[p] - offset) for p, offset in places),
        )
        for (group, topic), places in parts.items()
    ]


async def _ages(consumer: AIOKafkaConsumer, places: Iterable[Place]) -> dict[Place, float]:
    """Return the age in seconds of the record at each place; places without a record are left out."""
    ages = {}
    for partition, offset in places:
        consumer.seek(partition, offset)
        try:
            async with asyncio.timeout(_READ_S):
                record = await consumer.getone(partition)
        except TimeoutError:
            continue
        ages[partition, offset] = max(0.0, time.time() - record.timestamp / 1000)
    return ages


async def _offsets(admin: AIOKafkaAdminClient, group: str) -> Mapping[TopicPartition, OffsetAndMetadata]:
    """Return a group's offsets. Waits for its coordinator, which a Kafka that has just started does not have yet."""
    while True:
        try:
            return await admin.list_consumer_group_offsets(group)  # type: ignore[no-any-return]  # untyped
        except GroupCoordinatorNotAvailableError:
            await asyncio.sleep(_LOOK_AGAIN_S)
