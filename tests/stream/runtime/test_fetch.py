"""A group that reads from Kafka, also what Kafka has deleted meanwhile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import RecordsToDelete

from infra.setup.provision import provision_topics
from models.contract.topics import KafkaTopic
from models.settings import Settings
from stream_processors.runtime.health import Health
from stream_processors.runtime.kafka import commit, fetch, open_admin, open_consumer, open_producer

_numbers = count(1)


async def test_a_group_that_has_committed_nothing_begins_at_the_start(brokers: Settings) -> None:
    async with _topic(brokers, records=3) as partition, _group(brokers, partition) as consumer:
        assert await _read(consumer, Health("test", "1"), 3) == [0, 1, 2]


async def test_a_group_goes_on_where_it_committed(brokers: Settings) -> None:
    async with _topic(brokers, records=5) as partition:
        async with _group(brokers, partition) as consumer:
            await commit(consumer, {partition: 2})
        async with _group(brokers, partition) as consumer:
            assert await _read(consumer, Health("test", "1"), 3) == [2, 3, 4]


async def test_what_kafka_deleted_before_it_was_read_is_reported_once_and_committed_past(brokers: Settings) -> None:
    health = Health("test", "1")
    async with _topic(brokers, records=8) as partition:
        async with _group(brokers, partition) as consumer:
            await commit(consumer, {partition: 2})
        async with open_admin(brokers) as admin:
            await admin.delete_records({partition: RecordsToDelete(6)})
        async with _group(brokers, partition) as consumer:
            assert await _read(consumer, health, 2) == [6, 7]
            assert await consumer.committed(partition) == 6
        vitals = health.vitals()
        assert vitals.counts == {"lost": 4}
        assert vitals.last_fault
        assert "offsets 2 to 5 were deleted before they were read" in vitals.last_fault.text
        async with _group(brokers, partition) as consumer:
            assert await _read(consumer, health, 2) == [6, 7]
        assert health.vitals().counts == {"lost": 4}


async def test_a_group_whose_whole_backlog_was_deleted_has_none_left(brokers: Settings) -> None:
    async with _topic(brokers, records=8) as partition:
        async with _group(brokers, partition) as consumer:
            await commit(consumer, {partition: 2})
        async with open_admin(brokers) as admin:
            await admin.delete_records({partition: RecordsToDelete(8)})
        async with _group(brokers, partition) as consumer:
            while await consumer.committed(partition) != 8:
                assert not await fetch(consumer, Health("test", "1"), timeout_ms=200, max_records=10)


@asynccontextmanager
async def _topic(settings: Settings, records: int) -> AsyncIterator[TopicPartition]:
    """A topic of one partition with so many records."""
    name = f"fetched-{next(_numbers)}"
    await provision_topics(settings, [KafkaTopic(name, 1, {})])
    async with open_producer(settings) as producer:
        for number in range(records):
            await producer.send_and_wait(name, b"%d" % number)
    yield TopicPartition(name, 0)


@asynccontextmanager
async def _group(settings: Settings, partition: TopicPartition) -> AsyncIterator[AIOKafkaConsumer]:
    async with open_consumer(settings, partition.topic, group=f"readers of {partition.topic}") as consumer:
        yield consumer


async def _read(consumer: AIOKafkaConsumer, health: Health, records: int) -> list[int]:
    offsets: list[int] = []
    while len(offsets) < records:
        for batch in (await fetch(consumer, health, timeout_ms=500, max_records=100)).values():
            offsets += [record.offset for record in batch]
    return offsets
