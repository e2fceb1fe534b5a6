"""A shadow of what happened: the same events under another limit, told beside the live points."""

from collections.abc import Iterator, Sequence

from msgspec import structs

from models.keys.key_files import PIPELINE_KEY, parse_key
from models.ledger.codec import decode_event
from models.ledger.events import Event, Record, SiteConfigured
from models.ledger.outcomes import Answered, Outcome, SiteCounted
from models.ledger.partition import Partition
from models.settings import Settings
from stream_processors.decider.ledger import Unseal, opened
from stream_processors.runtime.key_client import open_keys
from stream_processors.sink.rollups import Periods
from tests.e2e.looks import Kept, records
from tests.grafana.influx import make_policy, write

__all__ = ["write_shadow"]


async def write_shadow(settings: Settings, limit_cm: int) -> list[Outcome]:
    """While templates can still be read. Returns what would have been decided in the periods that are over."""
    await make_policy(settings, "shadow")
    events = await records(settings, settings.topics.events)
    told: list[Outcome] = []
    async with open_keys(settings, "decider") as keys:
        for number in range(settings.partitions):
            mine = [kept for kept in events if kept.partition == number]
            outcomes = list(_folded(mine, settings, keys, limit_cm))
            told += await _tell(settings, outcomes)
    return told


async def _tell(settings: Settings, outcomes: Sequence[Outcome]) -> list[Outcome]:
    periods = Periods(settings.metrics_period_s, settings.metrics_k)
    lines = [line for number, outcome in enumerate(outcomes) for line in periods.take(number, outcome, outcome.at)]
    await write(settings, lines, "shadow")
    period_ms = 1000 * settings.metrics_period_s
    open_ms = max((outcome.at // period_ms * period_ms for outcome in outcomes), default=0)
    return [outcome for outcome in outcomes if outcome.at < open_ms]


def _folded(events: list[Kept], settings: Settings, keys: Unseal, limit_cm: int) -> Iterator[Outcome]:
    partition = Partition(parse_key((settings.secrets / PIPELINE_KEY).read_text(), PIPELINE_KEY))
    for kept in events:
        event = _with_limit(opened(decode_event(kept.value), keys), limit_cm)
        for outcome in partition.fold(Record(offset=kept.offset, at=kept.at, event=event)).outcomes:
            if isinstance(outcome, Answered | SiteCounted):
                yield outcome


def _with_limit(event: Event, limit_cm: int) -> Event:
    if isinstance(event, SiteConfigured):
        return structs.replace(event, policy=structs.replace(event.policy, limit_cm=limit_cm))
    return event
