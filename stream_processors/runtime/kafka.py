"""The pipeline's Kafka clients, with the settings that its delivery guarantees need."""

import ssl
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from models.errors import ConfigError
from models.settings import Settings
from stream_processors.runtime.health import Health

__all__ = [
    "FETCH_WAIT_MS",
    "SASL_MECHANISM",
    "batches_to_end",
    "commit",
    "fetch",
    "kafka_answers",
    "kafka_tls",
    "next_offsets",
    "open_admin",
    "open_consumer",
    "open_producer",
    "read_to_end",
    "report_lost",
]

log = structlog.get_logger()

SASL_MECHANISM = "SCRAM-SHA-256"
"""The authentication of a client (RFC 7677): the password itself is not sent."""
FETCH_WAIT_MS = 250
"""How long the broker holds back a fetch for which it has nothing; a record ends the wait.

It bounds what another request on the same connection waits for, such as that for the end of a partition. At 20 ms the
fetches of an idle pipeline took a quarter of a core, and no record came sooner.
"""
_HEARTBEAT_MS = 500
"""Heartbeat period: how soon a member learns of a rebalance, during which its partitions have no owner."""
_SESSION_MS = 6_000
"""Time until the partitions of a dead member are reassigned; the least that Kafka's default allows."""


@asynccontextmanager
async def open_producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """Open a producer whose records are on all replicas in sync, once and in order, when acknowledged.

    While Kafka is unreachable it retries for ever: sends in flight do not fail, and closing waits too. Only a send that
    finds no room for 40 s raises KafkaTimeoutError.
    """
    producer = AIOKafkaProducer(**_access(settings), acks="all", enable_idempotence=True)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def open_consumer(
    settings: Settings, *topics: str, group: str | None, fetch_bytes: int = 1 << 20
) -> AsyncIterator[AIOKafkaConsumer]:
    """Open a consumer without auto-commit; without a group it reads all partitions from the beginning.

    One with a group is read by `fetch`, which finds its first position.
    `fetch_bytes`: bytes per partition and fetch; one batch at least. The default is aiokafka's.
    """
    consumer = AIOKafkaConsumer(
        *topics,
        **_access(settings),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="none" if group else "earliest",
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


@asynccontextmanager
async def open_admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open an admin client for topics, settings and groups."""
    admin = AIOKafkaAdminClient(**_access(settings))
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


def kafka_tls(settings: Settings) -> ssl.SSLContext | None:
    """Return the TLS context for the brokers; None without TLS. Raises ConfigError for an invalid file."""
    if not settings.kafka_ca:
        return None
    try:
        return ssl.create_default_context(cafile=settings.kafka_ca)
    except OSError as error:
        raise ConfigError(f"FAIRROLL_KAFKA_CA={settings.kafka_ca} is no file of certificates: {error}") from None


async def read_to_end(consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]) -> list[ConsumerRecord]:
    """Read from the consumer's position to the present end of these assigned partitions."""
    return [record async for batch in batches_to_end(consumer, partitions) for record in batch]


async def batches_to_end(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> AsyncIterator[list[ConsumerRecord]]:
    """Yield the same in batches, each of one partition, so that no more than a few megabytes are in memory."""
    ends = await consumer.end_offsets(list(partitions))
    while any([await consumer.position(partition) < end for partition, end in ends.items()]):
        for batch in (await consumer.getmany(timeout_ms=200)).values():
            yield batch


async def fetch(
    consumer: AIOKafkaConsumer, health: Health, *, timeout_ms: int, max_records: int
) -> Mapping[TopicPartition, list[ConsumerRecord]]:
    """Return the fetched records of a consumer with a group; wait at most `timeout_ms` for the first.

    A group without a commit begins at the log start. If Kafka has deleted the record that the group reads next, the
    loss is reported once, and the group continues, with a commit, at the log start.
    """
    try:
        return await consumer.getmany(timeout_ms=timeout_ms, max_records=max_records)  # type: ignore[no-any-return]  # untyped
    except NoOffsetForPartitionError as error:
        [uncommitted] = error.args
        if uncommitted in consumer.assignment():
            await consumer.seek_to_beginning(uncommitted)
    except OffsetOutOfRangeError as error:
        [positions] = error.args
        starts = await consumer.beginning_offsets(positions)
        for partition in positions.keys() & consumer.assignment():
            report_lost(health, partition, positions[partition], starts[partition])
            consumer.seek(partition, starts[partition])
        await commit(consumer, starts)
    return {}


def report_lost(health: Health, partition: TopicPartition, first: int, start: int) -> None:
    """Report that Kafka deleted the records from `first` up to the log's `start` before they were read."""
    health.count("lost", max(0, start - first))
    health.fault(
        f"{partition.topic}/{partition.partition}: offsets {first} to {start - 1} were deleted before they were read;"
        f" continues at {start}"
    )


async def kafka_answers(client: AIOKafkaConsumer | AIOKafkaProducer) -> bool:
    """Return whether a broker of the cluster answers a metadata request."""
    ask = client.topics if isinstance(client, AIOKafkaConsumer) else client.client.fetch_all_metadata
    try:
        await ask()
    except KafkaError:
        return False
    return True


def next_offsets(records: Iterable[ConsumerRecord]) -> dict[TopicPartition, int]:
    """Return the offsets to commit after these records; each partition's are in order."""
    return {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}


async def commit(consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> None:
    """Commit offsets. Revoked partitions are left out: their new owner does the work again."""
    ours = {partition: offset for partition, offset in offsets.items() if partition in consumer.assignment()}
    if not ours:
        return
    try:
        await consumer.commit(ours)
    except (CommitFailedError, IllegalStateError) as error:
        log.warning("not committed for a rebalance", reason=repr(error))


def _access(settings: Settings) -> dict[str, Any]:
    """Return the arguments of every aiokafka client: address, user, TLS."""
    tls = kafka_tls(settings)
    options: dict[str, Any] = {"bootstrap_servers": settings.kafka, "ssl_context": tls}
    protocol = "SSL" if tls else "PLAINTEXT"
    if not settings.kafka_user:
        return options | {"security_protocol": protocol}
    return options | {
        "security_protocol": f"SASL_{protocol}",
        "sasl_mechanism": SASL_MECHANISM,
        "sasl_plain_username": settings.kafka_user,
        "sasl_plain_password": settings.kafka_password,
    }
