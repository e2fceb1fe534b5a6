"""The pipeline's Kafka clients, with the settings that its promises need."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from models.settings import Settings

__all__ = ["FETCH_WAIT_MS", "commit", "kafka_answers", "next_offsets", "open_consumer", "open_producer", "read_to_end"]

log = structlog.get_logger()

FETCH_WAIT_MS = 20
"""How long the broker may hold a fetch back; what a decision waits for at an idle site."""
_HEARTBEAT_MS = 500
"""How soon a member learns that another has come or gone; until all know, their partitions are nobody's."""
_SESSION_MS = 6_000
"""How long the partitions of a dead member wait; the least that Kafka's default allows."""


@asynccontextmanager
async def open_producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """Open a producer whose records are on all replicas in sync, once and in order, when acknowledged.

    While Kafka is away it tries for ever: what is under way does not fail, and closing it waits too. Only a send that
    finds no room for 40 s raises KafkaTimeoutError.
    """
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all", enable_idempotence=True)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def open_consumer(
    settings: Settings, *topics: str, group: str | None, fetch_bytes: int = 1 << 20
) -> AsyncIterator[AIOKafkaConsumer]:
    """Open a consumer that commits only when told to; without a group it reads all partitions from the beginning.

    `fetch_bytes`: how much of a partition comes at once; one batch at least. The default is aiokafka's.
    """
    consumer = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=settings.kafka,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        max_partition_fetch_bytes=fetch_bytes,
        heartbeat_interval_ms=_HEARTBEAT_MS,
        session_timeout_ms=_SESSION_MS,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def read_to_end(consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]) -> list[ConsumerRecord]:
    """Read from where the consumer stands to where these partitions, which are assigned to it, end now."""
    ends = await consumer.end_offsets(list(partitions))
    records: list[ConsumerRecord] = []
    while any([await consumer.position(partition) < end for partition, end in ends.items()]):
        for batch in (await consumer.getmany(timeout_ms=200)).values():
            records += batch
    return records


async def kafka_answers(client: AIOKafkaConsumer | AIOKafkaProducer) -> bool:
    """True when a broker of the cluster tells its topics."""
    ask = client.topics if isinstance(client, AIOKafkaConsumer) else client.client.fetch_all_metadata
    try:
        await ask()
    except KafkaError:
        return False
    return True


def next_offsets(records: Iterable[ConsumerRecord]) -> dict[TopicPartition, int]:
    """What to commit when these are done with; each partition's come in order."""
    return {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}


async def commit(consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> None:
    """Commit what is done. Partitions that a rebalance took away are left out: their new owner does the work again."""
    ours = {partition: offset for partition, offset in offsets.items() if partition in consumer.assignment()}
    if not ours:
        return
    try:
        await consumer.commit(ours)
    except (CommitFailedError, IllegalStateError) as error:
        log.warning("not committed for a rebalance", reason=repr(error))
