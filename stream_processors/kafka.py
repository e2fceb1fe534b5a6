"""The pipeline's Kafka clients, with the settings that its promises need."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from models.settings import Settings

__all__ = ["FETCH_WAIT_MS", "open_consumer", "open_producer"]

FETCH_WAIT_MS = 20
"""How long the broker may hold a fetch back; what a decision waits for at an idle site."""


@asynccontextmanager
async def open_producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """Open a producer whose records are on all replicas in sync, once and in order, when acknowledged."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def open_consumer(settings: Settings, *topics: str, group: str | None) -> AsyncIterator[AIOKafkaConsumer]:
    """Open a consumer that commits only when told to; without a group it reads all partitions from the beginning."""
    consumer = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=settings.kafka,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()
