"""Brings a sites file to Kafka: an event for each site that differs, followed until a decider has applied it."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from infra.kafka_events import append_events
from infra.kafka_records import KafkaAway
from infra.readable_records import readable
from infra.sites.changes import Change, compare, kept, without_removals
from infra.sites.registry import read_registry
from models.ledger.rules.policy import Sites
from models.ledger.rules.registry import Registry
from models.settings import Settings
from stream_processors.runtime.consumer_lag import partitions_of
from stream_processors.runtime.kafka import open_consumer

__all__ = ["append_changes", "apply_without_removals", "until_registered"]

_REGISTERED_S = 15.0
"""A decider that was killed decides again after some nine seconds."""


async def append_changes(settings: Settings, changes: Sequence[Change], why: str = "", by: str = "") -> dict[str, int]:
    """Append the event of each change; returns its offset by site. Raises KafkaAway."""
    orders = [change.order(why, by) for change in changes]
    spots = await append_events(settings, orders)
    return {order.site: offset for order, (_, offset) in zip(orders, spots, strict=True)}


async def until_registered(settings: Settings, offsets: dict[str, int]) -> set[str]:
    """Wait until a decider has applied events, at these offsets of their partitions; returns the sites it has not."""
    registry, waiting = Registry(), set(offsets)
    if not waiting:
        return waiting
    try:
        async with asyncio.timeout(_REGISTERED_S), open_consumer(settings, group=None) as consumer:
            await _follow(consumer, settings, registry, offsets, waiting)
    except TimeoutError:
        pass
    except KafkaError as error:
        raise KafkaAway(f"no Kafka at {settings.kafka_named}: {error!r}") from None
    return waiting


async def _follow(
    consumer: AIOKafkaConsumer, settings: Settings, registry: Registry, offsets: dict[str, int], waiting: set[str]
) -> None:
    partitions = partitions_of(settings, settings.topics.sites)
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    while waiting:
        record = await consumer.getone()
        for site in readable([record], lambda one: registry.take(one.key, one.value, one.headers), []):
            if site in waiting and registry.revision(site).offset >= offsets[site]:
                waiting.discard(site)


async def apply_without_removals(settings: Settings, sites: Sites, *, is_decided: bool) -> list[str]:
    """Bring a file to Kafka as a start does; returns what the file lacks and Kafka keeps.

    `is_decided`: whether a decider runs, so that the end of it can be waited for.
    """
    changes = compare(await read_registry(settings), sites)
    offsets = await append_changes(settings, without_removals(changes))
    if is_decided:
        await until_registered(settings, offsets)
    return kept(changes)
