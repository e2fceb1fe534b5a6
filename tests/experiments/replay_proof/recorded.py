"""Recordings without a Kafka: events with the outcomes of a plain fold, as a decider would have sent them."""

from collections.abc import Iterable, Sequence

from msgspec import Raw, structs

from models.contract.codec import encode
from models.ledger.clock import watermark
from models.ledger.events import Record, Requested
from models.ledger.outcomes import ControlChanged, SiteRegistered
from models.ledger.partition import Partition
from models.replay.recording import RecordedEvent, Recording, without_template
from models.replay.replay import Replay, Replayed, Rewrite, unchanged
from tests.support.story import SECRET, START

LONG_AFTER = START + 10**12


def recorded_events(records: Sequence[Record], partition: int = 0) -> list[RecordedEvent]:
    """Each event with its outcomes."""
    decider, found, now = Partition(SECRET), [], 0
    for record in records:
        now = watermark(now, record.at)
        outcomes = tuple(
            Raw(encode(outcome))
            for outcome in decider.fold(record).outcomes
            if not isinstance(outcome, ControlChanged | SiteRegistered)
        )
        found.append(
            RecordedEvent(partition=partition, offset=record.offset, at=now, event=record.event, outcomes=outcomes)
        )
    return found


def forgotten(found: Iterable[RecordedEvent]) -> list[RecordedEvent]:
    """The same with no template in it any more."""
    return [
        structs.replace(one, event=without_template(one.event)) if isinstance(one.event, Requested) else one
        for one in found
    ]


def recording(first: int = 0) -> Recording:
    return Recording(since=0, until=LONG_AFTER, first={0: first})


def replayed(
    found: Iterable[RecordedEvent], of: Recording | None = None, secret: bytes = SECRET, rewrite: Rewrite = unchanged
) -> list[Replayed]:
    replay = Replay(of or recording(), secret, rewrite)
    return [replay.fold(one) for one in found]
