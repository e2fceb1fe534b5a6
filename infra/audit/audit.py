"""An audit: reads one place after another, each with a timeout; the decisions topic comes last."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from msgspec import Struct

from infra.audit.files import read_broker_files, read_files
from infra.audit.influx import read_influx
from infra.audit.judgement import Known, Suspects, Tally
from infra.audit.key_custody import key_texts, read_key_holder, read_secrets
from infra.audit.mqtt import read_retained
from infra.audit.places import PlaceReader, Unread
from infra.audit.report import Place, Report
from infra.audit.topics import TopicReader, topics_of
from models.contract.topics import KafkaTopic, Topics, kafka_topics
from models.ledger.rules.policy import Sites
from models.settings import Settings
from stream_processors.runtime.key_client import open_keys, read_facts

__all__ = ["GROUPS", "Scope", "audit", "other_pipelines"]

GROUPS = ("key-holder", "secrets", "kafka", "broker-files", "mqtt", "influxdb", "data", "logs", "files")
"""The kinds of places, as `--skip` names them."""
_OTHERS = "another pipeline"
"""Always skipped."""


class Scope(Struct, frozen=True, kw_only=True):
    """Places beyond those of the settings, and the timeout of each."""

    broker_files: Path
    """the folder of Kafka's log.dirs"""
    logs: Path
    files: tuple[Path, ...] = ()
    """recordings, exports, copies: anything else"""
    skip: frozenset[str] = frozenset()
    """of GROUPS: places that another audit covers; they are listed as skipped"""
    limit_s: float = 600.0
    """for each place"""


async def audit(settings: Settings, sites: Sites, scope: Scope, progress: Callable[[str], None]) -> Report:
    """Read every place. A place that cannot be read is reported with the reason; nothing is written anywhere.

    Ages are those at the start of the audit.
    """
    started = time.monotonic()
    async with AsyncExitStack() as open_until_end:
        keys = await open_until_end.enter_async_context(open_keys(settings, "decider"))
        known = Known(now=time.time(), facts=await read_facts(settings), secrets=key_texts(settings))
        suspects = Suspects()
        reader = TopicReader(settings, sites, keys, suspects)
        readers = list(_readers(settings, scope)) + await _topic_readers(settings, sites, reader)
        tallies = [await _read_place(place, scope, Tally(place.name, known, suspects), progress) for place in readers]
    return _report(settings.topics.decisions, known, suspects, tallies, time.monotonic() - started)


def _readers(settings: Settings, scope: Scope) -> Iterator[PlaceReader]:
    yield PlaceReader("key holder", "key-holder", partial(read_key_holder, settings))
    yield PlaceReader("secrets", "secrets", partial(read_secrets, settings))
    yield PlaceReader("MQTT, retained", "mqtt", partial(read_retained, settings))
    yield PlaceReader("InfluxDB", "influxdb", partial(read_influx, settings))
    yield PlaceReader("logs", "logs", partial(read_files, scope.logs))
    elsewhere = (scope.broker_files, scope.logs, settings.secrets)
    yield PlaceReader("data", "data", partial(read_files, settings.data, without=elsewhere))
    for path in scope.files:
        yield PlaceReader(f"files {path}", "files", partial(read_files, path))
    yield PlaceReader("Kafka's own files", "broker-files", partial(read_broker_files, scope.broker_files))


async def _topic_readers(settings: Settings, sites: Sites, reader: TopicReader) -> list[PlaceReader]:
    """Return readers of all existing and expected topics, the decisions last; a missing topic of ours is unread."""
    ours = kafka_topics(settings.topics, settings.partitions, sites.longest_window_s)
    try:
        there, why = await topics_of(settings), "no such topic: fairroll provision creates it"
    except Unread as error:
        there, why = {}, str(error)
    readers = [PlaceReader(topic.name, "kafka", _reading(reader, topic, there, why)) for topic in ours]
    others = other_pipelines(there, settings.topics)
    readers += [
        PlaceReader(f"{other.namespace}.*, of another pipeline", _OTHERS, partial(_fail, "")) for other in others
    ]
    known = {topic.name for topics in (settings.topics, *others) for topic in kafka_topics(topics, 1, 0)}
    for name, count in sorted(there.items()):
        if name not in known:
            readers.append(PlaceReader(name, "kafka", partial(reader.read_unknown, name, count)))
    return sorted(readers, key=lambda place: place.name == settings.topics.decisions)


def other_pipelines(there: Iterable[str], ours: Topics) -> list[Topics]:
    """Return the pipelines of other namespaces in the same Kafka; their own audits read their topics."""
    found = [Topics(name.removesuffix(".pipeline")) for name in sorted(there) if name.endswith(".pipeline")]
    return [topics for topics in found if topics != ours]


def _reading(
    reader: TopicReader, topic: KafkaTopic, there: dict[str, int], why: str
) -> Callable[[Tally], Awaitable[None]]:
    if topic.name in there:
        return partial(reader.read, KafkaTopic(topic.name, there[topic.name], topic.config))
    return partial(_fail, why)


async def _fail(why: str, _: Tally) -> None:
    raise Unread(why)


async def _read_place(place: PlaceReader, scope: Scope, tally: Tally, progress: Callable[[str], None]) -> Tally | Place:
    if place.group in {*scope.skip, _OTHERS}:
        return Place(name=place.name, verdict="skipped")
    progress(place.name)
    try:
        async with asyncio.timeout(scope.limit_s):
            await place.read(tally)
    except Unread as error:
        tally.why = str(error)
    except TimeoutError:
        tally.why = f"not done within {scope.limit_s:g} s (--limit)"
    return tally


def _report(last: str, known: Known, suspects: Suspects, tallies: list[Tally | Place], took_s: float) -> Report:
    """Build the report; `last` is the decisions topic, which is read last."""
    decisions = tallies[-1]
    if suspects.is_full and isinstance(decisions, Tally):
        decisions.why = decisions.why or "too many words elsewhere could be pseudonyms"
    if not isinstance(decisions, Tally) or decisions.why:
        suspects.doubt(f"whether its words name visitors is unknown, since {last} was not read to the end")
    return Report(
        at=known.now,
        took_s=took_s,
        places=[tally.place() if isinstance(tally, Tally) else tally for tally in tallies],
        findings=[finding for tally in tallies if isinstance(tally, Tally) for finding in tally.examples],
    )
