"""Keeps the last record of each dispenser in the topic of states the newest one.

The states of a dispenser come through any ingress, so two of them may be appended in the wrong order. Compaction would
then keep the older one for ever. Every ingress follows the topic, and appends the newest state again behind one that is
outdated.
"""

from collections.abc import AsyncIterator, Iterable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from models.contract.states import States
from models.errors import MalformedMessage
from stream_processors.runtime.health import Health
from stream_processors.runtime.kafka import read_to_end

__all__ = ["StateOrder", "keep_states_in_order"]


class StateOrder:
    """The newest state of each dispenser, and whose last record is not it. Pure."""

    def __init__(self) -> None:
        self._states = States()
        self._values: dict[str, bytes] = {}

    def follow(self, records: Iterable[ConsumerRecord], health: Health) -> dict[str, bytes]:
        """Return the states that are to be appended again, by key, so that they come last."""
        again: dict[str, bytes] = {}
        for record in records:
            try:
                key = self._states.take(record.key, record.value)
            except MalformedMessage as error:  # written by a newer ingress; other dispensers continue
                health.count("unreadable")
                health.fault(f"unreadable state at {record.partition}/{record.offset}: {error}")
                continue
            if key is None:
                again[record.key.decode()] = self._values[record.key.decode()]
                continue
            again.pop(key, None)
            if record.value:
                self._values[key] = record.value
            else:
                self._values.pop(key, None)
        return again


async def keep_states_in_order(
    consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, topic: str, health: Health
) -> None:
    """Follow the topic of states, all of which `consumer` reads from the beginning; ends only when cancelled."""
    order = StateOrder()
    async for records in _batches(consumer):
        for key, value in order.follow(records, health).items():
            await producer.send_and_wait(topic, value, key.encode())
            health.count("reordered")


async def _batches(consumer: AIOKafkaConsumer) -> AsyncIterator[list[ConsumerRecord]]:
    """What the topic holds now in one, and then what comes."""
    yield await read_to_end(consumer, consumer.assignment())
    while True:
        batches = await consumer.getmany(timeout_ms=1000)
        yield [record for batch in batches.values() for record in batch]
