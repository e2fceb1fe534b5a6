"""How far the consumer groups are: what each has still to do in its topics."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.structs import OffsetAndMetadata

from models.settings import Settings
from models.topics import (
    CONTROLS,
    DEAD_LETTERS,
    DECIDER_GROUP,
    DECISIONS,
    EGRESS_GROUP,
    EVENTS,
    RECEIPTS,
    SINK_GROUP,
    STATES,
)
from stream_processors.kafka import open_consumer

__all__ = ["READS", "Backlog", "Reader", "backlogs", "committed", "partitions_of"]

READS = {
    DECIDER_GROUP: (EVENTS,),
    EGRESS_GROUP: (DECISIONS,),
    SINK_GROUP: (DECISIONS, STATES, CONTROLS, RECEIPTS, DEAD_LETTERS),
}
"""Which consumer group reads what."""
_LOOK_AGAIN_S = 0.2
_READ_S = 2.0

Reader = tuple[str, TopicPartition]
"""A group at a partition."""


class Backlog(NamedTuple):
    """What a group has still to do in a topic."""

    group: str
    topic: str
    records: int
    seconds: float
    """age of the oldest"""


def partitions_of(settings: Settings, topic: str) -> list[TopicPartition]:
    """All topics are co-partitioned by site; the dead letters have one partition."""
    return [TopicPartition(topic, number) for number in range(1 if topic == DEAD_LETTERS else settings.partitions)]


async def committed(settings: Settings) -> dict[Reader, int]:
    """The offset that each group reads next, of those that have committed one."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    try:
        await admin.start()
        return {
            (group, partition): kept.offset
            for group in READS
            for partition, kept in (await _offsets(admin, group)).items()
        }
    finally:
        await admin.close()


async def backlogs(settings: Settings) -> list[Backlog]:
    """What every group has still to do. A group that has committed nothing in a partition has all of it to do."""
    done = await committed(settings)
    readers = [
        (group, p) for group, topics in READS.items() for topic in topics for p in partitions_of(settings, topic)
    ]
    async with open_consumer(settings, group=None) as consumer:
        partitions = {partition for _, partition in readers}
        consumer.assign(partitions)
        beginnings, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        firsts = {(group, p): max(done.get((group, p), 0), beginnings[p]) for group, p in readers}
        behind = {(p, first) for (_, p), first in firsts.items() if first < ends[p]}
        ages = await _ages(consumer, behind)
    return [_backlog(group, topic, firsts, ends, ages) for group, topics in READS.items() for topic in topics]


def _backlog(
    group: str,
    topic: str,
    firsts: Mapping[Reader, int],
    ends: Mapping[TopicPartition, int],
    ages: Mapping[tuple[TopicPartition, int], float],
) -> Backlog:
    ours = {p: first for (of, p), first in firsts.items() if of == group and p.topic == topic}
    return Backlog(
        group,
        topic,
        sum(ends[p] - first for p, first in ours.items() if first < ends[p]),
        max(ages.get(place, 0.0) for place in ours.items()),
    )


async def _ages(
    consumer: AIOKafkaConsumer, places: Iterable[tuple[TopicPartition, int]]
) -> dict[tuple[TopicPartition, int], float]:
    """How many seconds ago the record at each place was appended; places that hold none any more are left out."""
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
    """Wait for a coordinator: a Kafka that has just started, or has never met a group, has none yet."""
    while True:
        try:
            return await admin.list_consumer_group_offsets(group)  # type: ignore[no-any-return]  # untyped
        except GroupCoordinatorNotAvailableError:
            await asyncio.sleep(_LOOK_AGAIN_S)
