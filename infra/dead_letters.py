"""The dead letters: what lies there, and reports that can be read now after all."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec import structs

from infra.kafka_records import read_records
from models.contract.codec import decode_dead_letter, decode_report, encode
from models.contract.dead_letters import DeadLetter
from models.contract.messages import Battery, Stock
from models.contract.topics import Topics
from models.errors import MalformedMessage
from models.ledger.events import Reported
from models.ledger.policy import Sites
from models.settings import Settings
from stream_processors.ingress.service import sender
from stream_processors.runtime.kafka import open_producer

__all__ = ["Filed", "by_reason", "read_again", "read_letters", "resubmit"]

_LONGEST_AGO_MS = 10**12
"""The contract's bound on a report's age."""


class Filed(NamedTuple):
    """A dead letter and when it was put aside."""

    at: float
    """seconds since 1970, by Kafka's clock"""
    letter: DeadLetter


async def read_letters(settings: Settings, newest_s: float) -> list[Filed]:
    """Those of the last `newest_s` seconds, the oldest first; raises KafkaAway."""
    records = await read_records(settings, settings.topics.dead_letters, newest_s)
    return [Filed(record.timestamp / 1000, decode_dead_letter(record.value)) for record in records]


def by_reason(letters: Iterable[DeadLetter]) -> dict[str, int]:
    """How many for each reason, the most frequent first; what follows a colon is a case of its own and left out."""
    return dict(Counter(letter.reason.partition(":")[0] for letter in letters).most_common())


def read_again(letter: DeadLetter, lay_s: float, topics: Topics, sites: Sites) -> Reported:
    """The event of a report that lay in the dead letters for `lay_s` seconds.

    Its age grows by that time, so that quotas see when it happened. Raises MalformedMessage for what cannot be read
    now either, and for a measurement, which would be taken for one of now.
    """
    if letter.payload is None:
        raise MalformedMessage("its payload was not kept")
    source, report = sender(letter.source, topics, sites), decode_report(letter.payload)
    if isinstance(report, Stock | Battery):
        raise MalformedMessage("a measurement of then says nothing of now")
    aged = structs.replace(report, ago_ms=min(_LONGEST_AGO_MS, report.ago_ms + round(1000 * lay_s)))
    return Reported(site=source.site, device=source.device, report=aged)


async def resubmit(settings: Settings, letters: Sequence[Filed], sites: Sites) -> list[tuple[Filed, str | None]]:
    """Send to `fairroll.events` what can be read now; with each letter the reason why not, None for one that was sent.

    Doing it again is harmless: the ledger knows a report by its request.
    """
    outcomes: list[tuple[Filed, str | None]] = []
    async with open_producer(settings) as producer:
        for filed in letters:
            try:
                event = read_again(filed.letter, max(0.0, time.time() - filed.at), settings.topics, sites)
            except MalformedMessage as reason:
                outcomes.append((filed, str(reason)))
            else:
                await producer.send_and_wait(settings.topics.events, encode(event), event.site.encode())
                outcomes.append((filed, None))
    return outcomes
