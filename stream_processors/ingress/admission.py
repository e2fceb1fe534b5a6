"""What becomes of a message above its sender's rate: it is acknowledged to the broker and goes no further.

A request and a report are repeated by their dispenser, which waits for an answer from behind Kafka. A state is not: the
newest one that was too much is held, and appended as soon as the rate allows.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn, Protocol

from models.contract.topics import DeviceTopic, Topics
from models.errors import MalformedMessage
from models.ledger.rules.policy import Sites
from stream_processors.ingress.rate_limit import RateLimits
from stream_processors.ingress.records import Publication, Record
from stream_processors.runtime.health import Health

__all__ = ["Admission", "Turn"]

Turn = Callable[[Publication], Awaitable[tuple[Record, ...]]]
"""Turns a message into what goes to Kafka."""

_RELEASE_S = 0.5
_REPORT_EVERY = 20
"""A fault for each sender above its rate every 10 s, and not for each message."""
_MOST_NAMED = 5


class Registry(Protocol):
    """Follows which dispensers there are."""

    @property
    def sites(self) -> Sites:
        """The present ones."""
        ...


class Admission:
    """Puts the rate limits before and behind `turn`."""

    def __init__(
        self,
        turn: Turn,
        limits: RateLimits,
        registry: Registry,
        topics: Topics,
        health: Health,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._turn, self._limits, self._registry = turn, limits, registry
        self._topics, self._health, self._clock = topics, health, clock
        self._held: dict[DeviceTopic, Publication] = {}
        self._limited: Counter[str] = Counter()

    async def turn(self, publication: Publication) -> tuple[Record, ...]:
        """Return the records of a message; none if it is above the rate."""
        source = self._source(publication.topic)
        if not self._limits.admit(source, self._clock()):
            self._count(source)
            if source and source.channel == "state":
                self._held[source] = publication
            return ()
        if source:
            self._held.pop(source, None)  # it is older than this one
        return self._without_excess_letters(source, await self._turn(publication))

    async def run(self, append: Callable[[Record], Awaitable[object]]) -> NoReturn:
        """Append held states as their rates allow, and report what was above a rate."""
        while True:
            for _ in range(_REPORT_EVERY):
                await asyncio.sleep(_RELEASE_S)
                await self.release(append)
            self._report()

    async def release(self, append: Callable[[Record], Awaitable[object]]) -> None:
        """Append the held states whose rates allow it now."""
        for source in [held for held in self._held if self._limits.admit(held, self._clock())]:
            if publication := self._held.pop(source, None):
                for record in self._without_excess_letters(source, await self._turn(publication)):
                    await append(record)

    def _source(self, topic: str) -> DeviceTopic | None:
        with suppress(MalformedMessage):
            source = self._topics.parse(topic)
            if self._registry.sites.knows(source.site, source.device):
                return source
        return None

    def _without_excess_letters(self, source: DeviceTopic | None, records: tuple[Record, ...]) -> tuple[Record, ...]:
        letters = self._topics.dead_letters
        if all(record.topic != letters for record in records) or self._limits.admit_letter(source, self._clock()):
            return records
        self._count(source)
        return tuple(record for record in records if record.topic != letters)

    def _count(self, source: DeviceTopic | None) -> None:
        self._health.count("limited")
        self._limited[f"{source.site}/{source.device}/{source.channel}" if source else "unknown senders"] += 1

    def _report(self) -> None:
        for name, number in self._limited.most_common(_MOST_NAMED):
            self._health.fault(f"{name} above its rate: {number} messages dropped in {_RELEASE_S * _REPORT_EVERY:g} s")
        self._limited.clear()
