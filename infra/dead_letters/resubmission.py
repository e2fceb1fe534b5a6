"""Sends stored reports to the decider that can be read now."""

import asyncio
import time
from collections.abc import AsyncIterator

from msgspec import structs

from infra.dead_letters.reader import Filed
from models.contract.codec import decode_report, encode
from models.contract.dead_letters import DeadLetter
from models.contract.messages import Battery, Stock
from models.contract.topics import Topics
from models.errors import MalformedMessage
from models.ledger.events import Reported
from models.ledger.rules.policy import Sites
from models.settings import Settings
from stream_processors.ingress.service import sender
from stream_processors.runtime.kafka import open_producer

__all__ = ["read_again", "resubmit"]

_LONGEST_AGO_MS = 10**12
"""The contract's bound on a report's age."""


_BATCH = 500
"""reports in flight to Kafka"""


def read_again(letter: DeadLetter, lay_s: float, topics: Topics, sites: Sites) -> Reported:
    """Return the event of a report that was a dead letter for `lay_s` seconds.

    Its age grows by that time, so that quotas use the time of the event. Raises MalformedMessage for a report that
    still cannot be read, and for a measurement, which would count as a present one.
    """
    if letter.payload is None:
        raise MalformedMessage("its payload was not kept")
    source, report = sender(letter.source, topics, sites), decode_report(letter.payload)
    if isinstance(report, Stock | Battery):
        raise MalformedMessage("a stock or battery measurement of the past is out of date")
    aged = structs.replace(report, ago_ms=min(_LONGEST_AGO_MS, report.ago_ms + round(1000 * lay_s)))
    return Reported(site=source.site, device=source.device, report=aged)


async def resubmit(
    settings: Settings, letters: AsyncIterator[Filed], sites: Sites
) -> AsyncIterator[tuple[Filed, str | None]]:
    """Send the readable reports to the events topic; yield each letter with the reason why not, None if it was sent.

    Repeating it is harmless: the ledger knows a report by its request.
    """
    async with open_producer(settings) as producer:
        async for batch in _batches(letters):
            outcomes, sending = list[tuple[Filed, str | None]](), []
            for filed in batch:
                try:
                    event = read_again(filed.letter, max(0.0, time.time() - filed.at), settings.topics, sites)
                except MalformedMessage as reason:
                    outcomes.append((filed, str(reason)))
                else:
                    sending.append(await producer.send(settings.topics.events, encode(event), event.site.encode()))
                    outcomes.append((filed, None))
            await asyncio.gather(*sending)
            for outcome in outcomes:
                yield outcome


async def _batches(letters: AsyncIterator[Filed]) -> AsyncIterator[list[Filed]]:
    batch: list[Filed] = []
    async for filed in letters:
        batch.append(filed)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
