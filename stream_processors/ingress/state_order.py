"""Keeps the topic of states: the last record of each dispenser is the newest one, and there is none of any other.

The states of a dispenser come through any ingress, so two of them may be appended in the wrong order. Compaction would
then keep the older one for ever. Every ingress follows the topic, and appends the newest state again behind one that is
outdated. A state of a dispenser that is not served, for it was removed, is withdrawn.
"""

from collections.abc import AsyncIterator, Iterable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from models.contract.states import States, dispenser_of_key
from models.contract.topics import Topics
from models.errors import MalformedMessage
from stream_processors.ingress.site_follower import SiteFollower
from stream_processors.ingress.withdrawal import Withdrawals
from stream_processors.runtime.health import Health
from stream_processors.runtime.kafka import read_to_end

__all__ = ["StateOrder", "keep_states"]


class StateOrder:
    """The newest state of each dispenser, and the dispensers whose last record is another one. Pure."""

    def __init__(self) -> None:
        self._states = States()
        self._values: dict[str, bytes] = {}

    def follow(self, records: Iterable[ConsumerRecord], health: Health) -> dict[str, bytes]:
        """Return the states to append again, by key, so that they come last."""
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

    def dispensers(self) -> list[tuple[str, str]]:
        """Return site and device of each dispenser that has a state."""
        return [dispenser_of_key(key.encode()) for key in self._states]


async def keep_states(
    consumer: AIOKafkaConsumer,
    producer: AIOKafkaProducer,
    topics: Topics,
    follower: SiteFollower,
    withdrawals: Withdrawals,
    health: Health,
) -> None:
    """Follow the topic of states, all of which `consumer` reads from the beginning; ends only when cancelled.

    A withdrawal is repeated, once a second at most, until the state is gone from Kafka.
    """
    order = StateOrder()
    async for records in _batches(consumer):
        for key, value in order.follow(records, health).items():
            await producer.send_and_wait(topics.states, value, key.encode())
            health.count("reordered")
        for site, device in order.dispensers():
            if follower.is_stray(site, device):
                withdrawals.add(topics.device(site, device, "state"))


async def _batches(consumer: AIOKafkaConsumer) -> AsyncIterator[list[ConsumerRecord]]:
    """Yield the present records of the topic as one batch, and then new ones."""
    yield await read_to_end(consumer, consumer.assignment())
    while True:
        batches = await consumer.getmany(timeout_ms=1000)
        yield [record for batch in batches.values() for record in batch]
