"""What an attacker has who copied Kafka's topics: sealed templates, and whether any key opens them."""

from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from infra.kafka_records import read_records
from models.keys.seals import Sealed, binding
from models.ledger.codec import decode_event, decode_row
from models.ledger.events import Requested
from models.ledger.rows import VisitorAccount, site_of
from models.settings import Settings
from stream_processors.decider.ledger import Unseal
from stream_processors.runtime.key_client import open_keys

__all__ = ["Copy", "alive", "copy_of", "on_disk", "readable"]


class Copy(NamedTuple):
    """A sealed template, with all that is needed to open it but the key."""

    topic: str
    site: str
    sealed: Sealed
    bound_to: bytes

    def is_open_to(self, keys: Unseal) -> bool:
        return keys.unseal(self.site, self.sealed, self.bound_to) is not None


async def copy_of(settings: Settings) -> list[Copy]:
    """Every sealed template that the events and the changelog hold now."""
    copies = []
    for record in await read_records(settings, settings.topics.events):
        event = decode_event(record.value or b"")
        if isinstance(event, Requested) and event.sealed:
            bound = binding(event.site, event.device, event.request.id)
            copies.append(Copy(settings.topics.events, event.site, event.sealed, bound))
    for record in await read_records(settings, settings.topics.accounts_changelog):
        row = decode_row(record.value) if record.value else None
        if isinstance(row, VisitorAccount) and row.sealed:
            site, last = site_of(_key(record.key)), row.entries[-1]
            copies.append(
                Copy(settings.topics.accounts_changelog, site, row.sealed, binding(site, last.device, last.id))
            )
    return copies


async def readable(settings: Settings, copies: Iterable[Copy]) -> int:
    """How many open with the keys that the key holder gives a decider, which are the oldest that exist."""
    async with open_keys(settings, "decider") as keys:
        return sum(copy.is_open_to(keys) for copy in copies)


async def alive(settings: Settings, site: str) -> int:
    """How many visitors' rows of a site the changelog holds that no tombstone follows."""
    last = {record.key: record.value for record in await read_records(settings, settings.topics.accounts_changelog)}
    return sum(value is not None and _key(key).startswith(f"visitor/{site}/") for key, value in last.items())


def on_disk(kafka: Path, copies: Iterable[Copy]) -> int:
    """How many boxes lie in the files of Kafka's logs, as its records carry them: in base64."""
    logs = [file.read_bytes() for file in kafka.rglob("*.log")]
    return sum(any(b64encode(copy.sealed.box) in log for log in logs) for copy in set(copies))


def _key(key: bytes) -> str:
    """Without the partition."""
    return key.decode().partition("/")[2]
