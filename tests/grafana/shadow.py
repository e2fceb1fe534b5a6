"""A shadow of what happened: the same events under another limit, written next to the live points."""

import time
from collections.abc import Iterator, Sequence

from msgspec import structs

from models.keys.key_files import PIPELINE_KEY, parse_key
from models.ledger.codec import decode_event, decode_outcome
from models.ledger.events import Event, Record, SiteConfigured
from models.ledger.outcomes import Answered
from models.ledger.partition import Partition
from models.ledger.rules.policy import Policies, Sites
from models.metrics import storage
from models.replay.what_if import Trial
from models.settings import Settings
from stream_processors.decider.ledger import Unseal, opened
from stream_processors.replay.kafka_source import Wanted, open_stream
from stream_processors.replay.shadow import Shadow
from stream_processors.runtime.key_client import Keys, open_keys
from stream_processors.sink.influx_setup import set_up
from tests.e2e.pipeline_client import Kept, records
from tests.grafana.influx import write

__all__ = ["Pair", "write_shadow"]

Pair = tuple[Answered, Answered]
"""One request with its live and its trial answer."""


async def write_shadow(settings: Settings, sites: Sites, limit_cm: int) -> list[Pair]:
    """While templates can still be read. Returns the requests of periods that are over, decided without its code."""
    await set_up(settings, storage.SHADOW)
    async with open_keys(settings, "decider") as keys:
        await _write(settings, sites, keys, limit_cm)
        tried = list(await _tried(settings, keys, limit_cm))
    live = [decode_outcome(kept.value) for kept in await records(settings, settings.topics.decisions)]
    answers = {(one.site, one.command.request): one for one in live if isinstance(one, Answered) and not one.repeated}
    return [(answers[one.site, one.command.request], one) for one in tried]


async def _write(settings: Settings, sites: Sites, keys: Keys, limit_cm: int) -> None:
    policies = {name: structs.replace(spec.policy, limit_cm=limit_cm) for name, spec in sites.sites.items()}
    wanted = Wanted(since=0, until=time.time_ns() // 1_000_000, warm_up_ms=0)
    secret = _secret(settings)
    async with open_stream(settings, wanted, lambda event: opened(event, keys)) as stream:
        shadow = Shadow(settings, stream.recording, secret, Trial(policies=Policies(sites=policies)))
        await write(settings, [line async for happening in stream for line in shadow.take(happening)], storage.SHADOW)


async def _tried(settings: Settings, keys: Unseal, limit_cm: int) -> Iterator[Answered]:
    """The trial answers, folded again, without the open period of each partition."""
    events = await records(settings, settings.topics.events)
    parts = [[kept for kept in events if kept.partition == number] for number in range(settings.partitions)]
    return (answer for part in parts for answer in _closed(part, settings, keys, limit_cm))


def _closed(part: Sequence[Kept], settings: Settings, keys: Unseal, limit_cm: int) -> Iterator[Answered]:
    period_ms = 1000 * settings.metrics_period_s
    open_ms = max((kept.at // period_ms * period_ms for kept in part), default=0)
    partition = Partition(_secret(settings))
    for kept in part:
        event = _with_limit(opened(decode_event(kept.value), keys), limit_cm)
        for outcome in partition.fold(Record(offset=kept.offset, at=kept.at, event=event)).outcomes:
            if isinstance(outcome, Answered) and not outcome.repeated and outcome.at < open_ms:
                yield outcome


def _with_limit(event: Event, limit_cm: int) -> Event:
    if isinstance(event, SiteConfigured):
        return structs.replace(event, policy=structs.replace(event.policy, limit_cm=limit_cm))
    return event


def _secret(settings: Settings) -> bytes:
    return parse_key((settings.secrets / PIPELINE_KEY).read_text(), PIPELINE_KEY)
