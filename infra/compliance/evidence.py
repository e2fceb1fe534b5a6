"""Evidence about a site from a running pipeline. Nothing is written or committed."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from infra.compliance.facts import Facts, Live, Seal, Traffic
from infra.hold.hold import read_receipts
from infra.kafka_records import stream_records
from infra.readable_records import newest_controls, newest_states, readable
from infra.setup.provision import read_topic_settings
from infra.sites.registry import read_registry
from models.contract.messages import Control, DeviceState
from models.contract.topics import kafka_topics
from models.errors import ConfigError
from models.ledger.codec import decode_outcome
from models.ledger.rules.policy import Sites
from models.process.site_file import read_sites
from models.settings import Settings
from stream_processors.runtime.key_client import read_facts

__all__ = ["gather"]

_DAY_S = 86_400.0


async def gather(settings: Settings, site: str, *, offline: bool) -> Facts:
    """Gather the facts of a report. Raises ConfigError for an unknown site, KafkaAway if Kafka does not answer."""
    sites = read_sites(settings.sites) if offline else await _served(settings)
    source = f"{settings.sites} (FAIRROLL_SITES)" if offline else settings.topics.sites
    if site not in sites.sites:
        raise ConfigError(f"no site {site!r} in {source}; its sites: {', '.join(sites.sites)}")
    return Facts(
        site=site,
        spec=sites.sites[site],
        settings_source=settings.sites.name if offline else settings.topics.sites,
        topics=settings.topics,
        mqtt=settings.mqtt,
        kafka=settings.kafka,
        at=time.time_ns() // 1_000_000,
        live=None if offline else await _live(settings, sites, site),
    )


async def _served(settings: Settings) -> Sites:
    """The sites as Kafka holds them. Raises ConfigError where there is no Kafka, or no such topic."""
    wanted = [settings.topics.sites]
    _check(settings, wanted, await read_topic_settings(settings, wanted))
    return await read_registry(settings)


async def _live(settings: Settings, sites: Sites, site: str) -> Live:
    wanted = kafka_topics(settings.topics, settings.partitions, sites.longest_window_s)
    names = [topic.name for topic in wanted]
    found = await read_topic_settings(settings, names)
    _check(settings, names, found)
    unreadable: list[str] = []
    control, states, traffic, receipts, seal = await asyncio.gather(
        _control(settings, site, unreadable),
        _states(settings, site, unreadable),
        _traffic(settings, site, unreadable),
        read_receipts(settings, unreadable),
        _seal(settings, site),
    )
    return Live(
        topics=[(topic, found[topic.name]) for topic in wanted],
        control=control,
        states=states,
        traffic=traffic,
        receipts=[receipt for receipt in receipts if receipt.site == site],
        seal=seal,
        unreadable=unreadable,
    )


def _check(settings: Settings, wanted: Sequence[str], found: Mapping[str, dict[str, str]]) -> None:
    """Raise ConfigError for a missing topic, on which a consumer would wait without end."""
    if missing := [name for name in wanted if not found.get(name)]:
        raise ConfigError(f"Kafka at {settings.kafka} has no {missing[0]}: run `fairroll provision`, or use --offline")


async def _control(settings: Settings, site: str, unreadable: list[str]) -> Control | None:
    records = [record async for record in stream_records(settings, settings.topics.controls)]
    return newest_controls(records, unreadable).get(site)


async def _states(settings: Settings, site: str, unreadable: list[str]) -> dict[str, DeviceState]:
    records = [record async for record in stream_records(settings, settings.topics.states)]
    by_place = [(key.split("/"), found.state) for key, found in newest_states(records, unreadable).items()]
    return {device: state for (of, device), state in by_place if of == site}


async def _seal(settings: Settings, site: str) -> Seal | None:
    reply = await read_facts(settings)
    return Seal(at=reply.at, site=reply.sites.get(site)) if reply else None


async def _traffic(settings: Settings, site: str, unreadable: list[str]) -> Traffic:
    """Sum up the decisions of the last day one by one, since they may be many."""
    traffic = Traffic()
    async for record in stream_records(settings, settings.topics.decisions, _DAY_S):
        if record.key == site.encode():
            for outcome in readable([record], lambda record: decode_outcome(record.value or b""), unreadable):
                traffic.note(outcome)
    return traffic
