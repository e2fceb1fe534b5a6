"""From Kafka into the books: what has come since the last reading."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition

from models.keys.key_files import PIPELINE_KEY, parse_key
from models.settings import Settings
from stream_processors.runtime.kafka import open_consumer
from stream_processors.runtime.key_client import Keys, open_keys
from tests.experiments.chaos.evidence import Books, Kept

__all__ = ["Reading", "open_reading"]

_WITHIN_S = 60.0
_BATCH = 2_000


class Reading:
    """Keeps the books of one pipeline. Templates can be read for a window, so it must not read more rarely."""

    def __init__(self, consumer: AIOKafkaConsumer, secret: bytes, keys: Keys, settings: Settings) -> None:
        self.books = Books(secret, keys)
        self._keys = keys
        self._consumer = consumer
        self._topics = settings.topics
        self._numbers = range(settings.partitions)

    async def catch_up(self) -> None:
        """Read to where the topics end now: rows first, so that no row is of an event that is not read yet."""
        await self._keys.fetch_all()
        rows = await self._new(self._topics.accounts_changelog)
        decisions = await self._new(self._topics.decisions)
        self.books.add_events(await self._new(self._topics.events))
        self.books.add_decisions(decisions)
        self.books.add_rows(rows)

    async def _new(self, topic: str) -> list[Kept]:
        partitions = [TopicPartition(topic, number) for number in self._numbers]
        ends = await self._consumer.end_offsets(partitions)
        found: list[Kept] = []
        async with asyncio.timeout(_WITHIN_S):
            while behind := [p for p, end in ends.items() if await self._consumer.position(p) < end]:
                for partition, batch in (
                    await self._consumer.getmany(*behind, timeout_ms=200, max_records=_BATCH)
                ).items():
                    found += [Kept(partition.partition, r.offset, r.timestamp, r.key or b"", r.value) for r in batch]
                await asyncio.sleep(0)
        return found


@asynccontextmanager
async def open_reading(settings: Settings) -> AsyncIterator[Reading]:
    """From the beginning of the topics."""
    secret = parse_key((settings.secrets / PIPELINE_KEY).read_text(), PIPELINE_KEY)
    async with open_keys(settings, "decider") as keys, open_consumer(settings, group=None) as consumer:
        topics = (settings.topics.events, settings.topics.decisions, settings.topics.accounts_changelog)
        partitions = [TopicPartition(topic, number) for topic in topics for number in range(settings.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        yield Reading(consumer, secret, keys, settings)
