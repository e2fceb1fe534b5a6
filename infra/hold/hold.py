"""Hold and resume: said to the decider, and followed until every part has told what became of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from msgspec import Struct

from infra.kafka_records import KafkaAway, read_records
from models.contract.codec import decode_state, encode
from models.contract.messages import Mode
from models.ledger.codec import decode_outcome
from models.ledger.events import SiteHeld, SiteResumed
from models.ledger.outcomes import Held, Receipt, Resumed
from models.ledger.policy import SiteSpec
from models.settings import Settings
from stream_processors.runtime.consumer_lag import partitions_of
from stream_processors.runtime.kafka import open_consumer, open_producer
from stream_processors.runtime.key_client import read_facts

__all__ = ["Said", "Settled", "read_receipts", "say"]

_RECEIPT_S = 15.0
"""A decider that was killed decides again after some nine seconds."""
_FOLLOW_S = 5.0
"""For key holder and dispensers: who is connected hears of it within a second."""
_LOOK_AGAIN_S = 0.1

Said = SiteHeld | SiteResumed
_Spot = tuple[int, int]
"""partition and offset of an event"""


class Settled(Struct, frozen=True, kw_only=True):
    """What became of it at a site; seconds are since it was said."""

    site: str
    receipt: Held | Resumed | None
    """None: no decider answered. What was said is in Kafka and will be decided before all that comes later."""
    decided_s: float | None = None
    keys_s: float | None = None
    """until the key holder had destroyed the site's chain, or begun one; None: it did not tell"""
    told: dict[str, float]
    """until each dispenser told that it works so"""
    not_told: tuple[str, ...]
    """dispensers that are offline, or did not tell in time: they learn it when they connect, before any face"""


class _Decided(NamedTuple):
    receipt: Held | Resumed
    seconds: float

    @property
    def mode(self) -> Mode:
        return "held" if isinstance(self.receipt, Held) else self.receipt.mode


async def say(settings: Settings, wanted: Sequence[tuple[Said, SiteSpec]]) -> list[Settled]:
    """Say it to every site at once, and follow it through the pipeline. Raises KafkaAway where it cannot be said."""
    started, topics = time.monotonic(), settings.topics
    async with (
        _reading(settings, topics.receipts, from_now=True) as receipts,
        _reading(settings, topics.states) as states,
    ):
        spots = await _append(settings, [event for event, _ in wanted])
        decided = await _decided(receipts, set(spots), started)
        modes = {found.receipt.site: found.mode for found in decided.values()}
        keys, told = await asyncio.gather(_keys(settings, modes, started), _told(states, modes, started))
    return [
        _settled(event.site, spec, decided.get(spot), keys.get(event.site), told.get(event.site, {}))
        for spot, (event, spec) in zip(spots, wanted, strict=True)
    ]


async def read_receipts(settings: Settings, newest_s: float | None = None) -> list[Receipt]:
    """The audit log: every hold, resumption and new epoch, the oldest first. Raises KafkaAway."""
    records = await read_records(settings, settings.topics.receipts, newest_s)
    outcomes = [decode_outcome(record.value or b"") for record in records]
    return [outcome for outcome in outcomes if isinstance(outcome, Receipt)]


def _settled(
    site: str, spec: SiteSpec, decided: _Decided | None, keys_s: float | None, told: dict[str, float]
) -> Settled:
    return Settled(
        site=site,
        receipt=decided.receipt if decided else None,
        decided_s=decided.seconds if decided else None,
        keys_s=keys_s,
        told=told,
        not_told=tuple(device for device in spec.devices if device not in told),
    )


async def _append(settings: Settings, events: Iterable[Said]) -> list[_Spot]:
    try:
        async with asyncio.timeout(_RECEIPT_S), open_producer(settings) as producer:
            sent = [await producer.send(settings.topics.events, encode(event), event.site.encode()) for event in events]
            kept = await asyncio.gather(*sent)
    except (KafkaError, TimeoutError) as error:
        raise KafkaAway(f"it could not be said: no Kafka at {settings.kafka_named}: {error!r}") from None
    return [(record.partition, record.offset) for record in kept]


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


async def _decided(receipts: AIOKafkaConsumer, spots: set[_Spot], started: float) -> dict[_Spot, _Decided]:
    """The receipts of these events; of all, or of those that come in time."""
    found: dict[_Spot, _Decided] = {}
    try:
        async with asyncio.timeout(_RECEIPT_S):
            while found.keys() != spots:
                record = await receipts.getone()
                outcome = decode_outcome(record.value or b"")
                spot = (record.partition, outcome.offset)
                if isinstance(outcome, Held | Resumed) and spot in spots:
                    found.setdefault(spot, _Decided(outcome, time.monotonic() - started))
    except TimeoutError:
        pass
    return found


async def _keys(settings: Settings, modes: Mapping[str, Mode], started: float) -> dict[str, float]:
    """When the key holder had destroyed each site's chain, or had begun one."""
    done: dict[str, float] = {}
    until = time.monotonic() + _FOLLOW_S
    while done.keys() != modes.keys() and time.monotonic() < until:
        if told := await read_facts(settings):
            as_wanted = {
                s for s, f in told.sites.items() if s in modes and (f.chain is not None) is (modes[s] == "face")
            }
            done |= dict.fromkeys(as_wanted - done.keys(), time.monotonic() - started)
        await asyncio.sleep(_LOOK_AGAIN_S)
    return done


async def _told(states: AIOKafkaConsumer, modes: Mapping[str, Mode], started: float) -> dict[str, dict[str, float]]:
    """When each dispenser that is online told that it works so, by site; all of them, or those that do in time."""
    told: dict[str, dict[str, float]] = {}
    waiting: set[bytes] = set()
    until = time.monotonic() + _FOLLOW_S
    while time.monotonic() < until:
        batches = await states.getmany(timeout_ms=round(1000 * _LOOK_AGAIN_S))
        for record in (record for batch in batches.values() for record in batch):
            site, _, device = record.key.decode().partition("/")
            state = decode_state(record.value or b"")
            waiting.discard(record.key)
            if site not in modes or not state.online:
                continue
            if (state.mode == "held") is (modes[site] == "held"):  # else without a camera, say, it works by buttons
                told.setdefault(site, {}).setdefault(device, time.monotonic() - started)
            else:
                waiting.add(record.key)
        if not batches and not waiting:
            break
    return told
