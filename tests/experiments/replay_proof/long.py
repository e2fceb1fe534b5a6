"""Recordings as long as one likes: a site at a steady pace, many windows long, made without a broker."""

from collections import Counter
from collections.abc import Iterator
from random import Random

from msgspec import Raw

from models.contract.codec import encode
from models.contract.messages import ButtonPressed, Dispensed, FaceSeen, Request
from models.ledger.events import Event, Record, Reported, Requested, SiteConfigured, Ticked
from models.ledger.outcomes import ControlChanged, SiteRegistered
from models.ledger.partition import Partition
from models.ledger.rules.policy import Policy
from models.replay.recording import RecordedEvent
from tests.support.story import MODEL, SECRET, SITE, START, template

__all__ = ["long_happenings"]

_APART_MS = 540
"""between two requests: a thousand a window"""
_TICK_EVERY = 10


def long_happenings(requests: int) -> Iterator[RecordedEvent]:
    """A thousand requests a window of 9 minutes, by 1,500 people, and the outcomes of a plain fold for each."""
    decider = Partition(SECRET)
    for offset, (at, event) in enumerate(_events(requests)):
        outcomes = decider.fold(Record(offset=offset, at=at, event=event)).outcomes
        published = tuple(
            Raw(encode(outcome)) for outcome in outcomes if not isinstance(outcome, ControlChanged | SiteRegistered)
        )
        yield RecordedEvent(partition=0, offset=offset, at=at, event=event, outcomes=published)


def _events(requests: int) -> Iterator[tuple[int, Event]]:
    lots, reported = Random(1), Counter[str]()
    policy = Policy(button_budget_cm=100_000, dispenser_limit_cm=100_000)
    yield START, SiteConfigured(site=SITE, mode="face", policy=policy)
    for number in range(requests):
        at, device, request = START + number * _APART_MS, f"d{lots.randrange(20)}", f"request-{number:010}"
        yield at, Requested(site=SITE, device=device, request=_request(lots, request))
        if lots.random() < 1 / 2:
            reported[device] += 1
            report = Dispensed(number=reported[device], request=request, cm=60)
            yield at + 100, Reported(site=SITE, device=device, report=report)
        if number % _TICK_EVERY == 0:
            yield at + 200, Ticked()


def _request(lots: Random, request: str) -> Request:
    if lots.random() < 1 / 8:
        return ButtonPressed(id=request)
    seen = template(f"person {lots.randrange(1_500)}", flipped=lots.choice((0, 20, 60)))
    return FaceSeen(id=request, model=MODEL, template=seen)
