"""Happenings from Kafka: events in the order of time, each with what the decider said of it.

Reads without a consumer group and commits nothing, so that nobody else notices. Memory does not grow with the range.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from msgspec import Raw, Struct, structs

from models.errors import ConfigError, MalformedMessage
from models.ledger.codec import decode_event, decode_row
from models.ledger.events import Event
from models.ledger.rows import SiteRow
from models.replay.recording import Happening, Recording, Saying, concerns, first_said, read_saying
from models.settings import Settings
from stream_processors.replay.template_access import Treat
from stream_processors.runtime.kafka import open_consumer

__all__ = ["Log", "Stream", "Wanted", "events_since", "open_stream", "time_of"]

_BATCH: Final = 2_000
_WAIT_MS: Final = 200
_CLOCKS_MS: Final = 5_000
"""How far the clocks of two brokers may differ: an event's is one's, its decision's another's."""


class Wanted(Struct, frozen=True, kw_only=True):
    """What to read of Kafka."""

    since: int
    """milliseconds since 1970, by Kafka's append time"""
    until: int
    """all is before this, and before the time of asking"""
    warm_up_ms: int
    """how much to read before `since`: the longest window, so that all that counts then is known"""
    sites: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    with_templates: bool = False
    is_endless: bool = False
    """Go on with what comes, for ever. Of receipts, which are rare, nothing is read then."""


class Stream:
    """Iterate it once."""

    def __init__(self, recording: Recording, total: int, partitions: Sequence["_Partition"], treat: Treat) -> None:
        self.recording = recording
        self.total = total
        """events in the range, at most"""
        self._partitions = partitions
        self._treat = treat

    @property
    def unreadable(self) -> int:
        """Events that nobody could read, so far."""
        return sum(partition.unreadable for partition in self._partitions)

    def parts(self) -> list[AsyncIterator[Happening]]:
        """Each partition alone: in an endless stream none waits for another."""
        return [_part(partition, self._treat) for partition in self._partitions]

    async def __aiter__(self) -> AsyncIterator[Happening]:
        """In the order of offsets in a partition, of time across partitions. Raises FairrollError."""
        waiting: list[tuple[int, int, Happening, _Partition]] = []
        for partition in self._partitions:
            await _take(waiting, partition, self._treat)
        while waiting:
            _, _, happening, partition = heapq.heappop(waiting)
            yield happening
            await _take(waiting, partition, self._treat)


async def _take(waiting: "list[tuple[int, int, Happening, _Partition]]", partition: "_Partition", treat: Treat) -> None:
    if happening := await partition.next(treat):
        heapq.heappush(waiting, (happening.at, happening.partition, happening, partition))


async def _part(partition: "_Partition", treat: Treat) -> AsyncIterator[Happening]:
    while happening := await partition.next(treat):
        yield happening


@asynccontextmanager
async def open_stream(settings: Settings, wanted: Wanted, treat: Treat) -> AsyncIterator[Stream]:
    """Find the range in Kafka as it is now; what comes later is not read, unless it is to be endless."""
    numbers, tail, topics = range(settings.partitions), _Tail if wanted.is_endless else Log, settings.topics
    sayings = (topics.decisions,) if wanted.is_endless else (topics.decisions, topics.receipts)
    read = (topics.events, topics.decisions, topics.receipts)
    logs = {topic: [TopicPartition(topic, number) for number in numbers] for topic in read}
    async with open_consumer(settings, group=None) as consumer:
        consumer.assign([partition for topic in logs.values() for partition in topic])
        ends = await consumer.end_offsets(logs[topics.events])
        since = wanted.since - wanted.warm_up_ms
        firsts = await _seek(consumer, logs[topics.events], since)
        await _seek(consumer, [*logs[topics.decisions], *logs[topics.receipts]], since - _CLOCKS_MS)
        known, guessed = await _settings(settings, {partition.partition: first for partition, first in firsts.items()})
        recording = Recording(
            since=wanted.since,
            until=wanted.until,
            first=dict(enumerate(firsts.values())),
            settings=known,
            guessed=guessed,
            sites=wanted.sites,
            devices=wanted.devices,
            with_templates=wanted.with_templates,
        )
        partitions = [
            _Partition(
                wanted,
                tail(consumer, logs[topics.events][number], ends[logs[topics.events][number]]),
                _Sayings([tail(consumer, logs[topic][number]) for topic in sayings], wanted.sites),
            )
            for number in numbers
        ]
        yield Stream(recording, sum(ends.values()) - sum(firsts.values()), partitions, treat)


async def events_since(settings: Settings, since: int) -> AsyncIterator[Event]:
    """What happened from a time up to now, as far as it can be read."""
    partitions = [TopicPartition(settings.topics.events, number) for number in range(settings.partitions)]
    async with open_consumer(settings, group=None) as consumer:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await _seek(consumer, partitions, since)
        for partition in partitions:
            log = Log(consumer, partition, ends[partition])
            while record := await log.next():
                try:
                    yield decode_event(record.value or b"")
                except MalformedMessage:
                    continue


async def time_of(settings: Settings, number: int, offset: int) -> int:
    """When the event at an offset was appended, milliseconds since 1970. Raises ConfigError where there is none."""
    partition = TopicPartition(settings.topics.events, number)
    async with open_consumer(settings, group=None) as consumer:
        consumer.assign([partition])
        begin = (await consumer.beginning_offsets([partition]))[partition]
        end = (await consumer.end_offsets([partition]))[partition]
        if not begin <= offset < end:
            raise ConfigError(f"{partition.topic} has {begin} to {end - 1} in partition {number}, and not {offset}")
        consumer.seek(partition, offset)
        record = await Log(consumer, partition, end).next()
    return record.timestamp if record else 0


async def _seek(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition], since: int
) -> dict[TopicPartition, int]:
    """Go to the first records that were appended then or later; returns their offsets."""
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, max(since, 0)))
    ends = await consumer.end_offsets(list(partitions))
    firsts = {p: found[p].offset if found[p] else ends[p] for p in partitions}
    for partition, offset in firsts.items():
        consumer.seek(partition, offset)
    return firsts


async def _settings(
    settings: Settings, firsts: dict[int, int]
) -> tuple[dict[int, dict[str, SiteRow]], tuple[str, ...]]:
    """How the sites worked before these offsets, and of which that is a guess, for they have changed since.

    It is in the decider's changelog, which has the last row alone. Of visitors' rows nothing is looked at.
    """
    changelog = settings.topics.accounts_changelog
    partitions = [TopicPartition(changelog, number) for number, first in firsts.items() if first]
    rows: defaultdict[int, dict[str, SiteRow]] = defaultdict(dict)
    if not partitions:
        return rows, ()
    async with open_consumer(settings, group=None) as consumer:
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        for partition in partitions:
            log, number = Log(consumer, partition), partition.partition
            while record := await log.next():
                prefix, _, site = record.key.decode().rpartition("/")
                if prefix == f"{number}/site" and (row := _site_row(record.value)):
                    rows[number][site] = row
    later = {site for number, known in rows.items() for site, row in known.items() if row.offset >= firsts[number]}
    before = {
        number: {site: _as_before(row, firsts[number]) if site in later else row for site, row in known.items()}
        for number, known in rows.items()
    }
    return before, tuple(sorted(later))


def _as_before(row: SiteRow, first: int) -> SiteRow:
    """A later row as if it had been written before; what it erased is not known to be erased then."""
    return structs.replace(row, offset=first - 1, at=0, floor=0, erased=-1)


def _site_row(value: bytes | None) -> SiteRow | None:
    row = decode_row(value) if value else None
    return row if isinstance(row, SiteRow) else None


class Log:
    """One partition of a topic, record by record, from where the consumer stands in it to an end.

    Without one, to where it ends when what was there at first has been read: decisions come a moment after events.
    """

    def __init__(self, consumer: AIOKafkaConsumer, partition: TopicPartition, end: int | None = None) -> None:
        self._consumer = consumer
        self._partition = partition
        self._end, self._is_final = end or 0, end is not None
        self._records: deque[ConsumerRecord] = deque()

    async def next(self) -> ConsumerRecord | None:
        """None: there is no more."""
        while not self._records:
            if await self._is_at_end():
                return None
            found = await self._consumer.getmany(self._partition, timeout_ms=_WAIT_MS, max_records=_BATCH)
            self._records.extend(found.get(self._partition, ()))
        return self._records.popleft()

    async def _is_at_end(self) -> bool:
        position: int = await self._consumer.position(self._partition)
        if position >= self._end and not self._is_final:
            self._end = (await self._consumer.end_offsets([self._partition]))[self._partition]
            self._is_final = position >= self._end
        return position >= self._end


class _Tail(Log):
    """One that never ends."""

    async def _is_at_end(self) -> bool:
        return False


class _Sayings:
    """What was said of a partition's events, in several topics."""

    def __init__(self, logs: Sequence[Log], sites: Collection[str]) -> None:
        self._logs = logs
        self._sites = sites
        self._reached = [-1] * len(logs)
        self._waiting: defaultdict[int, list[tuple[Saying, bytes]]] = defaultdict(list)

    async def of(self, offset: int) -> tuple[Raw, ...]:
        """What was said of an event; of those before it nothing is told any more."""
        for number in range(len(self._logs)):
            await self._read_past(offset, number)
        for gone in [earlier for earlier in self._waiting if earlier < offset]:
            del self._waiting[gone]
        return first_said(self._waiting.pop(offset, ()))

    async def _read_past(self, offset: int, number: int) -> None:
        """Decisions come in the order of their events; a redelivery repeats some of before."""
        while self._reached[number] <= offset and (record := await self._logs[number].next()):
            value = record.value or b""
            saying = read_saying(value)
            self._reached[number] = max(self._reached[number], saying.offset)
            if saying.offset >= offset and (not self._sites or saying.site in self._sites):
                self._waiting[saying.offset].append((saying, value))


class _Partition:
    """Events and sayings of one partition, joined."""

    def __init__(self, wanted: Wanted, events: Log, sayings: _Sayings) -> None:
        self._wanted = wanted
        self._events = events
        self._sayings = sayings
        self._at = 0
        self.unreadable = 0

    async def next(self, treat: Treat) -> Happening | None:
        """None: there is no more."""
        while (record := await self._events.next()) and record.timestamp < self._wanted.until:
            self._at = max(self._at, record.timestamp)
            try:
                event = decode_event(record.value or b"")
            except MalformedMessage:
                self.unreadable += 1
                continue
            if concerns(event, self._wanted.sites, self._wanted.devices):
                said = await self._sayings.of(record.offset)
                return Happening(
                    partition=record.partition, offset=record.offset, at=self._at, event=treat(event), said=said
                )
        return None
