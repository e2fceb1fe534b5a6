"""Faust's producer, made to send batches: one request for hundreds of records.

Where nothing lingers, aiokafka sends a request a record, and Faust adds work of its own to each. A record batch that is
built here costs one future and shares its request with others.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping

from aiokafka import AIOKafkaProducer
from faust.transport.drivers import aiokafka as driver

from stream_processors.decider.batch import KeyValue

__all__ = ["BatchProducer", "install_producer", "send_all"]

Records = Mapping[tuple[str, int], Iterable[KeyValue]]
"""Records to send, by topic and partition."""


def install_producer() -> None:
    """Make every Faust application of this process use it; Faust has no setting for it."""
    driver.Transport.Producer = BatchProducer


class BatchProducer(driver.Producer):  # type: ignore[misc]  # Faust's
    """Sends records of several topics and partitions together."""

    async def send_all(self, records: Records) -> Awaitable[object]:
        """See `send_all`."""
        return await send_all(self._ensure_producer(), records)


async def send_all(producer: AIOKafkaProducer, records: Records) -> Awaitable[object]:
    """Hand records over to aiokafka; what is returned completes when Kafka has them all, or raises KafkaError.

    Those of a partition are appended in their order, and together where they fit into one record batch (the producer's
    `max_batch_size`).
    """
    acknowledged: list[Awaitable[object]] = []
    for (topic, partition), some in records.items():
        batch = producer.create_batch()
        for key, value, headers in some:
            if batch.append(timestamp=None, key=key, value=value, headers=list(headers)) is None:  # full
                acknowledged.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                batch.append(timestamp=None, key=key, value=value, headers=list(headers))
        batch.close()  # else a tick could be appended to it
        acknowledged.append(await producer.send_batch(batch, topic, partition=partition))
    return asyncio.gather(*acknowledged)
