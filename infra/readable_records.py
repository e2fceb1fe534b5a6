"""Decodes records that another version may have written: unreadable ones are left out, and named. Pure."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from aiokafka import ConsumerRecord

from models.contract.messages import DeviceState
from models.contract.site_records import Controls
from models.contract.states import States
from models.errors import MalformedMessage

__all__ = ["DatedState", "newest_controls", "newest_states", "readable"]

_T = TypeVar("_T")
_LONGEST_KEY = 130
"""length of two names and a slash"""


class DatedState(NamedTuple):
    """The newest state of a dispenser."""

    state: DeviceState
    at: float
    """when Kafka appended it, seconds since 1970"""


def readable(
    records: Iterable[ConsumerRecord], read: Callable[[ConsumerRecord], _T], unreadable: list[str]
) -> Iterator[_T]:
    """Yield the result of `read` for each record. One on which it raises MalformedMessage is named in `unreadable`."""
    for record in records:
        try:
            value = read(record)
        except MalformedMessage as error:
            unreadable.append(_name(record, error))
        else:
            yield value


def newest_states(records: Iterable[ConsumerRecord], unreadable: list[str]) -> dict[str, DatedState]:
    """Return the newest state of each dispenser, by `site/device`, of the records in the order of their partitions."""
    states, dates = States(), dict[str, float]()

    def take(record: ConsumerRecord) -> None:
        if dispenser := states.take(record.key, record.value):
            dates[dispenser] = record.timestamp / 1000

    for _ in readable(records, take, unreadable):
        pass
    return {dispenser: DatedState(state, dates[dispenser]) for dispenser, state in states.items()}


def newest_controls(records: Iterable[ConsumerRecord], unreadable: list[str]) -> Controls:
    """Return the newest control of each site, of the records in the order of their partitions."""
    controls = Controls()
    for _ in readable(records, lambda record: controls.take(record.key, record.value, record.headers), unreadable):
        pass
    return controls


def _name(record: ConsumerRecord, error: MalformedMessage) -> str:
    """Return position, key and reason of an unreadable record; a key that is no name is not quoted."""
    key = (record.key or b"").decode(errors="replace")
    quoted = f" ({key})" if 0 < len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable() else ""
    return f"{record.topic}/{record.partition}/{record.offset}{quoted}: {error}"
