"""Hold and resume: appended to the events topic, and followed until every service has applied them."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError
from msgspec import Struct, structs

from infra.kafka_events import Spot, append_events
from infra.kafka_records import KafkaAway, read_records
from infra.readable_records import readable
from models.contract.messages import Mode
from models.contract.states import States
from models.ledger.codec import decode_outcome
from models.ledger.events import SiteHeld, SiteResumed
from models.ledger.outcomes import Held, Outcome, Receipt, Resumed
from models.settings import Settings
from stream_processors.runtime.consumer_lag import partitions_of
from stream_processors.runtime.kafka import open_consumer
from stream_processors.runtime.key_client import read_facts

__all__ = ["Confirmations", "Devices", "Order", "Settled", "read_receipts", "submit", "until_keys_follow"]

_RECEIPT_S = 15.0
"""A decider that was killed decides again after some nine seconds."""
_FOLLOW_S = 5.0
"""Timeout for key holder and dispensers; a connected one applies it within a second."""
_LOOK_AGAIN_S = 0.1

Order = SiteHeld | SiteResumed
Devices = tuple[str, ...]


class Settled(Struct, frozen=True, kw_only=True):
    """The outcome at one site; seconds count from the append."""

    site: str
    receipt: Held | Resumed | None
    """None: no decider answered. The event is in Kafka and will be decided before all later ones."""
    decided_s: float | None = None
    keys_s: float | None = None
    """until the key holder had destroyed the site's chain, or begun one; None: not confirmed"""
    confirmed: dict[str, float]
    """until each dispenser published the new mode"""
    unconfirmed: tuple[str, ...]
    """dispensers that are offline or did not confirm in time: they get the control when they connect, before any
    capture"""
    unreadable: tuple[str, ...] = ()
    """records, of any site, that this version cannot read: what they say is not taken into account"""


class _Decided(NamedTuple):
    receipt: Held | Resumed
    seconds: float

    @property
    def mode(self) -> Mode:
        return "held" if isinstance(self.receipt, Held) else self.receipt.mode


async def submit(settings: Settings, wanted: Sequence[tuple[Order, Devices]]) -> list[Settled]:
    """Append the event of every site and follow it through the pipeline. Raises KafkaAway if it cannot be appended.

    `wanted`: with the dispensers of the event's site.
    """
    started, topics = time.monotonic(), settings.topics
    async with (
        _reading(settings, topics.receipts, from_now=True) as receipts,
        _reading(settings, topics.states) as states,
    ):
        spots = await append_events(settings, [event for event, _ in wanted])
        unreadable: list[str] = []
        decided = await _decided(receipts, set(spots), started, unreadable)
        modes = {found.receipt.site: found.mode for found in decided.values()}
        keys, confirmed = await asyncio.gather(
            until_keys_follow(settings, {site: mode == "face" for site, mode in modes.items()}, started),
            _confirmed(states, modes, started, unreadable),
        )
    settled = [
        _settled(event.site, devices, decided.get(spot), keys.get(event.site), confirmed.get(event.site, {}))
        for spot, (event, devices) in zip(spots, wanted, strict=True)
    ]
    return [structs.replace(one, unreadable=tuple(unreadable)) for one in settled]


async def read_receipts(settings: Settings, unreadable: list[str], newest_s: float | None = None) -> list[Receipt]:
    """The audit log: every hold, resumption and new epoch, the oldest first. Raises KafkaAway.

    Records that cannot be read are named in `unreadable`.
    """
    records = await read_records(settings, settings.topics.receipts, newest_s)
    return [outcome for outcome in readable(records, _outcome, unreadable) if isinstance(outcome, Receipt)]


def _outcome(record: ConsumerRecord) -> Outcome:
    return decode_outcome(record.value or b"")


def _settled(
    site: str, devices: Devices, decided: _Decided | None, keys_s: float | None, confirmed: dict[str, float]
) -> Settled:
    return Settled(
        site=site,
        receipt=decided.receipt if decided else None,
        decided_s=decided.seconds if decided else None,
        keys_s=keys_s,
        confirmed=confirmed,
        unconfirmed=tuple(device for device in devices if device not in confirmed),
    )


@asynccontextmanager
async def _reading(settings: Settings, topic: str, *, from_now: bool = False) -> AsyncIterator[AIOKafkaConsumer]:
    """All of a topic, or what comes into it from now on. Raises KafkaAway."""
    try:
        async with open_consumer(settings, group=None) as consumer:
            partitions = partitions_of(settings, topic)
            consumer.assign(partitions)
            for partition, end in (await consumer.end_offsets(partitions)).items():
                consumer.seek(partition, end if from_now else 0)
            yield consumer
    except KafkaError as error:
        raise KafkaAway(f"no Kafka at {settings.kafka_named}: {error!r}") from None


async def _decided(
    receipts: AIOKafkaConsumer, spots: set[Spot], started: float, unreadable: list[str]
) -> dict[Spot, _Decided]:
    """The receipts of these events; of all, or of those that come in time."""
    found: dict[Spot, _Decided] = {}
    try:
        async with asyncio.timeout(_RECEIPT_S):
            while found.keys() != spots:
                record = await receipts.getone()
                for outcome in readable([record], _outcome, unreadable):
                    spot = (record.partition, outcome.offset)
                    if isinstance(outcome, Held | Resumed) and spot in spots:
                        found.setdefault(spot, _Decided(outcome, time.monotonic() - started))
    except TimeoutError:
        pass
    return found


async def until_keys_follow(settings: Settings, chains: Mapping[str, bool], started: float) -> dict[str, float]:
    """Return after how many seconds the key holder had begun or destroyed each site's chain; late ones are missing.

    `chains`: whether a site is to have one. One that the key holder does not know has none.
    """
    done: dict[str, float] = {}
    until = time.monotonic() + _FOLLOW_S
    while done.keys() != chains.keys() and time.monotonic() < until:
        if reply := await read_facts(settings):
            there = {site for site, facts in reply.sites.items() if facts.chain is not None}
            as_wanted = {site for site, has_chain in chains.items() if (site in there) is has_chain}
            done |= dict.fromkeys(as_wanted - done.keys(), time.monotonic() - started)
        await asyncio.sleep(_LOOK_AGAIN_S)
    return done


async def _confirmed(
    states: AIOKafkaConsumer, modes: Mapping[str, Mode], started: float, unreadable: list[str]
) -> dict[str, dict[str, float]]:
    """Return by site the seconds until each online dispenser published the new mode; late ones are missing."""
    following = Confirmations(modes)
    until = time.monotonic() + _FOLLOW_S
    while time.monotonic() < until:
        batches = await states.getmany(timeout_ms=round(1000 * _LOOK_AGAIN_S))
        records = [record for batch in batches.values() for record in batch]
        following.take(records, time.monotonic() - started, unreadable)
        if not batches and not following.waiting:
            break
    return following.confirmed


class Confirmations:
    """Which online dispensers published the mode of their site, and which have not yet. Pure."""

    def __init__(self, modes: Mapping[str, Mode]) -> None:
        self.confirmed: dict[str, dict[str, float]] = {}
        """seconds, by site and device"""
        self.waiting: set[str] = set()
        self._modes, self._states = modes, States()

    def take(self, records: Iterable[ConsumerRecord], seconds: float, unreadable: list[str]) -> None:
        """Take states that were read after so many seconds. One that cannot be read confirms nothing."""
        for dispenser in readable(records, lambda record: self._states.take(record.key, record.value), unreadable):
            if dispenser:
                self._judge(dispenser, seconds)

    def _judge(self, dispenser: str, seconds: float) -> None:
        state, (site, device) = self._states.get(dispenser), dispenser.split("/")
        self.waiting.discard(dispenser)
        if state is None or site not in self._modes or not state.online:
            return
        if (state.mode == "held") is (self._modes[site] == "held"):  # else without a camera, say, it works by buttons
            self.confirmed.setdefault(site, {}).setdefault(device, seconds)
        else:
            self.waiting.add(dispenser)
