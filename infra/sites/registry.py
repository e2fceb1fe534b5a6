"""The sites as Kafka holds them: those that are served, and those that are only remembered."""

from collections.abc import Mapping

from infra.kafka_records import read_records, stream_records
from infra.readable_records import readable
from models.contract.site_records import site_of_key
from models.errors import ConfigError
from models.ledger.rules.policy import Sites
from models.ledger.rules.registry import Registry
from models.settings import Settings

__all__ = ["find_sites", "read_registry"]


async def read_registry(settings: Settings, unreadable: list[str] | None = None) -> Sites:
    """Return the sites that are served. Raises KafkaAway. Records that cannot be read are named in `unreadable`."""
    registry = Registry()
    records = [record async for record in stream_records(settings, settings.topics.sites)]
    named = [] if unreadable is None else unreadable
    for _ in readable(records, lambda record: registry.take(record.key, record.value, record.headers), named):
        pass
    return registry.present


async def find_sites(settings: Settings, site: str | None) -> dict[str, tuple[str, ...]]:
    """Return the site with its dispensers, or, for None, all that have a control.

    A site is found by the keys of controls and receipts, so also one that was removed, or whose control this version
    cannot read. Raises ConfigError where there is no such site, and KafkaAway.
    """
    served = (await read_registry(settings)).sites
    has_control = await _controlled(settings)
    if site is None:
        names = {name for name, is_there in has_control.items() if is_there}
    elif site in has_control or site in served or site in await _with_receipts(settings):
        names = {site}
    else:
        raise ConfigError(f"no site {site!r}: Kafka has no control or receipt of it; there are {_listed(has_control)}")
    return {name: served[name].devices if name in served else () for name in sorted(names)}


async def _controlled(settings: Settings) -> dict[str, bool]:
    """Return every site that the topic of controls names, and whether it has a control now."""
    records = await read_records(settings, settings.topics.controls)
    return dict(readable(records, lambda record: (site_of_key(record.key), record.value is not None), []))


async def _with_receipts(settings: Settings) -> set[str]:
    records = await read_records(settings, settings.topics.receipts)
    return set(readable(records, lambda record: site_of_key(record.key), []))


def _listed(has_control: Mapping[str, bool]) -> str:
    return ", ".join(sorted(name for name, is_there in has_control.items() if is_there)) or "none"
