"""Recorded events from Kafka: events in order of time, each joined with the outcomes of its decision.

Reads without a consumer group and commits nothing. Memory does not grow with the range.
"""

import heapq
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Raw, Struct, structs

from models.errors import ConfigError, MalformedMessage
from models.ledger.clock import watermark
from models.ledger.codec import decode_event, decode_row
from models.ledger.events import Event
from models.ledger.rows import SiteRow
from models.replay.recording import (
    OutcomeHeader,
    RecordedEvent,
    Recording,
    first_outcomes,
    matches,
    read_outcome_header,
)
from models.settings import Settings
from stream_processors.replay.partition_log import EndlessLog, Log
from stream_processors.replay.template_access import Treat
from stream_processors.runtime.kafka import open_consumer

__all__ = ["Stream", "Wanted", "events_since", "open_stream", "time_of"]

_CLOCKS_MS: Final = 5_000
"""Most difference between the clocks of two brokers, one of which appended the event and the other its decision."""


class Wanted(Struct, frozen=True, kw_only=True):
    """The range to read from Kafka."""

    since: int
    """append time, milliseconds since 1970"""
    until: int
    """append time, exclusive; the log end at the start bounds it too"""
    warm_up_ms: int
    """range before `since`: the longest window, which holds everything that counts at `since`"""
    sites: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    with_templates: bool = False
    is_endless: bool = False
    """Continue with new events, without end. Receipts, which are rare, are not read then."""


class Stream:
    """Recorded events of a range; can be iterated once."""

    def __init__(self, recording: Recording, total: int, partitions: Sequence["_Partition"], treat: Treat) -> None:
        self.recording = recording
        self.total = total
        """upper bound of the events in the range"""
        self._partitions = partitions
        self._treat = treat

    @property
    def unreadable(self) -> int:
        """Events that could not be decoded, so far."""
        return sum(partition.unreadable for partition in self._partitions)

    def by_partition(self) -> list[AsyncIterator[RecordedEvent]]:
        """Return an iterator for each partition: in an endless stream no partition waits for another."""
        return [_iterate(partition, self._treat) for partition in self._partitions]

    async def __aiter__(self) -> AsyncIterator[RecordedEvent]:
        """Iterate in offset order within a partition and time order across partitions. Raises FairrollError."""
        waiting: list[tuple[int, int, RecordedEvent, _Partition]] = []
        for partition in self._partitions:
            await _take(waiting, partition, self._treat)
        while waiting:
            _, _, recorded, partition = heapq.heappop(waiting)
            yield recorded
            await _take(waiting, partition, self._treat)


async def _take(
    waiting: "list[tuple[int, int, RecordedEvent, _Partition]]", partition: "_Partition", treat: Treat
) -> None:
    if recorded := await partition.next(treat):
        heapq.heappush(waiting, (recorded.at, recorded.partition, recorded, partition))


async def _iterate(partition: "_Partition", treat: Treat) -> AsyncIterator[RecordedEvent]:
    while recorded := await partition.next(treat):
        yield recorded


@asynccontextmanager
async def open_stream(settings: Settings, wanted: Wanted, treat: Treat) -> AsyncIterator[Stream]:
    """Open the range as Kafka holds it now; later events are read only if `wanted.is_endless`."""
    numbers, tail, topics = range(settings.partitions), EndlessLog if wanted.is_endless else Log, settings.topics
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
                _Outcomes([tail(consumer, logs[topic][number]) for topic in sayings], wanted.sites),
            )
            for number in numbers
        ]
        yield Stream(recording, sum(ends.values()) - sum(firsts.values()), partitions, treat)


async def events_since(settings: Settings, since: int) -> AsyncIterator[Event]:
    """Yield the events appended from a time up to now that can be decoded."""
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
    """Return the append time of an event, milliseconds since 1970. Raises ConfigError if the offset does not exist."""
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
    """Seek to the first records appended at `since` or later and return their offsets."""
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, max(since, 0)))
    ends = await consumer.end_offsets(list(partitions))
    firsts = {p: found[p].offset if found[p] else ends[p] for p in partitions}
    for partition, offset in firsts.items():
        consumer.seek(partition, offset)
    return firsts


async def _settings(
    settings: Settings, firsts: dict[int, int]
) -> tuple[dict[int, dict[str, SiteRow]], tuple[str, ...]]:
    """Return the settings of sites before these offsets, and the sites whose settings have changed since (a guess).

    Source: the decider's changelog, which holds the last row only. Visitors' rows are not decoded.
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
                    _take_row(rows[number], site, row, firsts[number])
    later = {site for number, known in rows.items() for site, row in known.items() if row.offset >= firsts[number]}
    before = {
        number: {site: _as_before(row, firsts[number]) if site in later else row for site, row in known.items()}
        for number, known in rows.items()
    }
    return before, tuple(sorted(later))


def _take_row(rows: dict[str, SiteRow], site: str, row: SiteRow, first: int) -> None:
    """Take over a row, in the order of the changelog. A site that is removed later has the settings of before."""
    if not row.removed:
        rows[site] = row
    elif row.offset < first:
        rows.pop(site, None)


def _as_before(row: SiteRow, first: int) -> SiteRow:
    """Return a later row as if written before `first`; what it erased counts as not yet erased."""
    return structs.replace(row, offset=first - 1, at=0, floor=0, erased=-1)


def _site_row(value: bytes | None) -> SiteRow | None:
    row = decode_row(value) if value else None
    return row if isinstance(row, SiteRow) else None


class _Outcomes:
    """The outcomes of a partition's events, from several topics."""

    def __init__(self, logs: Sequence[Log], sites: Collection[str]) -> None:
        self._logs = logs
        self._sites = sites
        self._reached = [-1] * len(logs)
        self._waiting: defaultdict[int, list[tuple[OutcomeHeader, bytes]]] = defaultdict(list)

    async def of(self, offset: int) -> tuple[Raw, ...]:
        """Return the outcomes of an event and drop those of earlier events."""
        for number in range(len(self._logs)):
            await self._read_past(offset, number)
        for earlier in [known for known in self._waiting if known < offset]:
            del self._waiting[earlier]
        return first_outcomes(self._waiting.pop(offset, ()))

    async def _read_past(self, offset: int, number: int) -> None:
        """Read until past `offset`: decisions have the order of their events, and redeliveries repeat earlier ones."""
        while self._reached[number] <= offset and (record := await self._logs[number].next()):
            value = record.value or b""
            header = read_outcome_header(value)
            self._reached[number] = max(self._reached[number], header.offset)
            if header.offset >= offset and (not self._sites or header.site in self._sites):
                self._waiting[header.offset].append((header, value))


class _Partition:
    """Joins events and outcomes of one partition."""

    def __init__(self, wanted: Wanted, events: Log, outcomes: _Outcomes) -> None:
        self._wanted = wanted
        self._events = events
        self._outcomes = outcomes
        self._at = 0
        self.unreadable = 0

    async def next(self, treat: Treat) -> RecordedEvent | None:
        """Return the next recorded event; None at the end."""
        while (record := await self._events.next()) and record.timestamp < self._wanted.until:
            self._at = watermark(self._at, record.timestamp)
            try:
                event = decode_event(record.value or b"")
            except MalformedMessage:
                self.unreadable += 1
                continue
            if matches(event, self._wanted.sites, self._wanted.devices):
                return RecordedEvent(
                    partition=record.partition,
                    offset=record.offset,
                    at=self._at,
                    event=treat(event),
                    outcomes=await self._outcomes.of(record.offset),
                )
        return None
