"""Audits Kafka's topics record by record: content and age."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final, Protocol

from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from infra.audit.detection import Seen
from infra.audit.judgement import NOTHING, SEAL_SLACK_S, Opens, Suspects, Tally, Where
from infra.audit.places import Unread
from infra.kafka_records import KafkaAway, stream_records
from models.contract.codec import decode_dead_letter
from models.contract.topics import KafkaTopic, Topics
from models.errors import MalformedMessage
from models.keys.seals import Sealed, binding
from models.ledger.codec import decode_event, decode_outcome, decode_row
from models.ledger.events import Requested
from models.ledger.outcomes import Answered
from models.ledger.rows import VisitorAccount, site_of, visitor_of
from models.ledger.rules.policy import Sites
from models.settings import Settings
from stream_processors.decider.ledger import Unseal
from stream_processors.runtime.kafka import open_admin

__all__ = ["TopicReader", "allowed_in", "topics_of"]

_IN_ROW_KEYS: Final[frozenset[Seen]] = frozenset({"visitor"})
_TICKS_S = 30
"""How long after its window a visitor's row may wait for a tick, which comes every 5 s."""
_COMPACTION_S = 300
"""How much longer its key may be in older records of the changelog: segments of 10 s, a minute for deletions."""
_ROLL_S = 3_600
"""Delay of deletion after retention: segments of 10 min, and the broker checks every 5 min."""
_PATIENCE_S = 60
_MOST_RECORDS = 500
_FETCH_MS = 500


def allowed_in(topic: str, topics: Topics) -> frozenset[Seen]:
    """Return what the values of a Kafka topic may contain; only keys of the changelog contain visitors."""
    if topic in {topics.events, topics.accounts_changelog}:
        return frozenset({"sealed"})
    return frozenset({"visitor"}) if topic == topics.decisions else NOTHING


async def topics_of(settings: Settings) -> dict[str, int]:
    """Return every topic of the broker with its number of partitions, without Kafka's own. Raises Unread."""
    try:
        async with asyncio.timeout(_PATIENCE_S), open_admin(settings) as admin:
            found = await admin.describe_topics()
    except (KafkaError, TimeoutError) as error:
        raise Unread(f"no Kafka answers at {settings.kafka_named}: {type(error).__name__}") from None
    return {topic["topic"]: len(topic["partitions"]) for topic in found if not topic["is_internal"]}


class _Judge(Protocol):
    """The rules of a topic beyond the bytes of its records."""

    def take(self, record: ConsumerRecord, where: str) -> Opens:
        """Judge a record; return whether its sealed template can be opened."""
        ...

    def end(self) -> None:
        """Finish after the last record."""
        ...


class TopicReader:
    """Reads topics from their beginnings to their present ends; memory grows with the visitors' rows only."""

    def __init__(self, settings: Settings, sites: Sites, keys: Unseal, suspects: Suspects) -> None:
        self._settings, self._sites, self._keys, self._suspects = settings, sites, keys, suspects

    async def read(self, topic: KafkaTopic, tally: Tally) -> None:
        """Read one of the pipeline's topics."""
        judge = self._judge(topic, tally)
        async for record in _records(self._settings, topic.name, topic.partitions):
            where = f"{record.partition}/{record.offset}"
            opens = judge.take(record, where)
            in_keys = _IN_ROW_KEYS if topic.name == self._settings.topics.accounts_changelog else NOTHING
            tally.scan_name(Where(f"{where} key"), record.key or b"", in_keys)
            allowed = allowed_in(topic.name, self._settings.topics)
            headers = b"".join(value for _, value in record.headers)
            tally.scan(Where(where), (record.value or b"") + headers, allowed=allowed, opens=opens)
        judge.end()

    async def read_unknown(self, name: str, partitions: int, tally: Tally) -> None:
        """Read an unknown topic; its existence is a finding."""
        tally.find("unknown", name, "a topic that the pipeline does not know")
        await self.read(KafkaTopic(name, partitions, {}), tally)

    def _judge(self, topic: KafkaTopic, tally: Tally) -> _Judge:
        topics = self._settings.topics
        match topic.name:
            case topics.events:
                return _Events(tally, topic, self._sites.longest_window_s, self._keys)
            case topics.accounts_changelog:
                return _Rows(tally, self._sites, self._keys)
            case topics.decisions:
                return _Decisions(tally, _keeps_s(topic), self._suspects)
            case topics.dead_letters:
                return _DeadLetters(tally, _keeps_s(topic))
            case _:
                return _Records(tally, _keeps_s(topic))


async def _records(settings: Settings, topic: str, count: int) -> AsyncIterator[ConsumerRecord]:
    try:
        async for record in stream_records(settings, topic, partitions=count):
            yield record
    except KafkaAway as error:
        raise Unread(str(error)) from None


def _keeps_s(topic: KafkaTopic) -> float | None:
    """Return the retention of the topic in seconds; None: without end, or compacted."""
    keeps_ms = int(topic.config.get("retention.ms", "-1"))
    return keeps_ms / 1000 if keeps_ms >= 0 and "compact" not in topic.config.get("cleanup.policy", "") else None


class _Records:
    """A topic without sealed templates: no record is older than the retention."""

    def __init__(self, tally: Tally, keeps_s: float | None) -> None:
        self._tally, self._keeps_s = tally, keeps_s
        tally.bound_s = keeps_s

    def take(self, record: ConsumerRecord, where: str) -> Opens:
        self._tally.age(record.timestamp / 1000)
        _check_retention(self._tally, record, record.timestamp, self._keeps_s, where)
        return lambda _: False

    def end(self) -> None:
        pass


class _DeadLetters(_Records):
    """Dead letters: their sources are topics, whose levels a dispenser may have chosen."""

    def take(self, record: ConsumerRecord, where: str) -> Opens:
        with contextlib.suppress(MalformedMessage):
            self._tally.scan_levels(Where(f"{where} source"), decode_dead_letter(record.value or b"").source.encode())
        return super().take(record, where)


class _Decisions(_Records):
    """Decisions: collects the visitors; such a word anywhere else is a finding."""

    def __init__(self, tally: Tally, keeps_s: float | None, suspects: Suspects) -> None:
        super().__init__(tally, keeps_s)
        self._suspects = suspects

    def take(self, record: ConsumerRecord, where: str) -> Opens:
        outcome = None
        with contextlib.suppress(MalformedMessage):  # its bytes are inspected in any case
            outcome = decode_outcome(record.value or b"")
        if isinstance(outcome, Answered) and outcome.visitor:
            self._suspects.accuse(outcome.visitor)
        at = min(record.timestamp, outcome.at) if outcome else record.timestamp
        self._tally.age(at / 1000)
        _check_retention(self._tally, record, at, self._keeps_s, where)
        return lambda _: False


class _Events:
    """Events with sealed templates: the age limit is that of their keys; the records may stay longer."""

    def __init__(self, tally: Tally, topic: KafkaTopic, longest_window_s: int, keys: Unseal) -> None:
        self._tally, self._keeps_s, self._keys = tally, _keeps_s(topic), keys
        tally.bound_s = longest_window_s + SEAL_SLACK_S

    def take(self, record: ConsumerRecord, where: str) -> Opens:
        _check_retention(self._tally, record, record.timestamp, self._keeps_s, where)
        with contextlib.suppress(MalformedMessage):
            event = decode_event(record.value or b"")
            if isinstance(event, Requested) and event.sealed:
                return _opens(self._keys, event.site, event.device, event.request.id)
        return lambda _: False

    def end(self) -> None:
        pass


class _Rows:
    """The decider's changelog: the last record of a key is its row, one without a value its tombstone."""

    def __init__(self, tally: Tally, sites: Sites, keys: Unseal) -> None:
        self._tally, self._sites, self._keys = tally, sites, keys
        self._visitors: dict[bytes, tuple[float, str]] = {}
        """time of the last grant, seconds since 1970, and its position"""
        tally.bound_s = sites.longest_window_s + _TICKS_S

    def take(self, record: ConsumerRecord, where: str) -> Opens:
        _, _, key = (record.key or b"").decode(errors="replace").partition("/")
        if not key.startswith("visitor/"):
            return lambda _: False
        self._visitors.pop(record.key, None)
        self._check_compaction(record, key, where)
        with contextlib.suppress(MalformedMessage):
            row = decode_row(record.value) if record.value else None
            if isinstance(row, VisitorAccount) and row.entries:
                self._visitors[record.key] = max(entry.at for entry in row.entries) / 1000, where
                return _opens(self._keys, site_of(key), row.entries[-1].device, row.entries[-1].id)
        return lambda _: False

    def end(self) -> None:
        """Judge the remaining rows: each belongs to a visitor that the site remembers now."""
        for key, (at, where) in self._visitors.items():
            age_s = self._tally.age(at)
            site = site_of(key.decode(errors="replace").partition("/")[2])
            if age_s > self._window_s(site) + _TICKS_S:
                self._tally.find("overdue", where, "a visitor's row that outlived its window", key, age_s)
            elif self._is_without_faces(site):
                self._tally.find("overdue", where, "a visitor's row of a site without faces", key, age_s)

    def _is_without_faces(self, site: str) -> bool:
        """Whether the site is held or in button mode for long enough that a tick has come."""
        reply, now = self._tally.known.facts, self._tally.known.now
        facts = reply.sites.get(site) if reply else None
        return facts is not None and facts.mode != "face" and now - facts.since / 1000 > _TICKS_S

    def _check_compaction(self, record: ConsumerRecord, key: str, where: str) -> None:
        age_s = max(0.0, self._tally.known.now - record.timestamp / 1000)
        if age_s > self._window_s(site_of(key)) + _TICKS_S + _COMPACTION_S:
            what = "a visitor's key that compaction should have removed"
            self._tally.find("visitor", where, what, visitor_of(key).encode(), age_s)

    def _window_s(self, site: str) -> int:
        """Return the site's window; the longest one for a site that is no longer in the file."""
        spec = self._sites.sites.get(site)
        return spec.policy.window_s if spec else self._sites.longest_window_s


def _check_retention(tally: Tally, record: ConsumerRecord, at: int, keeps_s: float | None, where: str) -> None:
    """`at`: time of the event, milliseconds since 1970."""
    age_s = tally.known.now - at / 1000
    if keeps_s is not None and age_s > keeps_s + _ROLL_S:
        tally.find("overdue", where, "a record older than its topic keeps them", record.value or b"", age_s)


def _opens(keys: Unseal, site: str, device: str, request: str) -> Opens:
    def is_open(sealed: Sealed) -> bool:
        return keys.unseal(site, sealed, binding(site, device, request)) is not None

    return is_open
