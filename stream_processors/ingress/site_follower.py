"""What ingress knows of the sites: which dispensers they have, and how they work. It follows Kafka."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, NoReturn

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from models.contract.site_records import Controls, site_of_key
from models.contract.topics import Topics
from models.errors import MalformedMessage
from models.ledger.rules.policy import Sites
from models.ledger.rules.registry import Registry
from stream_processors.ingress.template_sealing import Seals
from stream_processors.runtime.health import Health
from stream_processors.runtime.kafka import next_offsets, read_to_end

__all__ = ["SiteFollower"]

_CATCH_UP_EVERY_S: Final = 1.0
"""Unknown dispensers may send as much as they like: Kafka is asked for its end no more often."""
_CATCH_UP_S: Final = 2.0


class SiteFollower:
    """Follows registrations and controls. `sites` and the seals are as new as what was read."""

    def __init__(self, consumer: AIOKafkaConsumer, topics: Topics, seals: Seals, health: Health) -> None:
        """`consumer` reads the topics of sites and of controls from their beginnings."""
        self._consumer, self._topics, self._seals, self._health = consumer, topics, seals, health
        self._controls, self._registry = Controls(), Registry()
        self._unreadable: set[str] = set()
        self._next: dict[TopicPartition, int] = {}
        self._progress = asyncio.Condition()
        self._caught_up = -_CATCH_UP_EVERY_S

    @property
    def sites(self) -> Sites:
        """The sites that are served."""
        return self._registry.present

    def is_stray(self, site: str, device: str) -> bool:
        """Whether a dispenser is not served. Of a site whose registration cannot be read here, that is not known."""
        return site not in self._unreadable and not self.sites.knows(site, device)

    async def read(self) -> None:
        """Read to the present end."""
        self._take(await read_to_end(self._consumer, self._consumer.assignment()))

    async def follow(self) -> NoReturn:
        """Read on."""
        while True:
            batches = await self._consumer.getmany(timeout_ms=1000)
            self._take(record for batch in batches.values() for record in batch)
            async with self._progress:
                self._progress.notify_all()

    async def catch_up_for(self, site: str, device: str) -> None:
        """Wait until what Kafka holds now was read, before a dispenser is refused as unknown.

        So a caller that has seen a registration in Kafka finds it here. Needs `follow` in another task.
        """
        now = time.monotonic()
        if self.sites.knows(site, device) or now < self._caught_up + _CATCH_UP_EVERY_S:
            return
        self._caught_up = now
        with suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP_S):
                ends = await self._consumer.end_offsets(list(self._consumer.assignment()))
                async with self._progress:
                    await self._progress.wait_for(lambda: all(self._next.get(p, 0) >= end for p, end in ends.items()))

    def _take(self, records: Iterable[ConsumerRecord]) -> None:
        for record in records:
            self._next |= next_offsets([record])
            try:
                self._take_one(record)
            except MalformedMessage as error:  # written by a newer decider; the other sites must go on
                self._health.count("unreadable")
                self._health.fault(f"unreadable {record.topic}/{record.partition}/{record.offset}: {error}")
                with suppress(MalformedMessage):
                    self._unreadable.add(site_of_key(record.key))

    def _take_one(self, record: ConsumerRecord) -> None:
        if record.topic == self._topics.controls:
            site = self._controls.take(record.key, record.value, record.headers)
            if site is not None:
                self._seals.follow(site, self._controls[site])
        elif site := self._registry.take(record.key, record.value, record.headers):
            self._unreadable.discard(site)
