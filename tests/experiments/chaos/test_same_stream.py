"""The same events give the same decisions, byte for byte: by one worker, by two that come and go, by a plain fold."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from random import Random

from aiokafka import TopicPartition

from infra.local.ports import Ports
from infra.local.programs import BROKERS
from infra.local.stack import LocalStack
from infra.setup.provision import provision
from models.contract.codec import encode
from models.contract.messages import ButtonPressed, Dispensed, FaceSeen, Request, StaffPressed
from models.ledger.codec import decode_outcome
from models.ledger.events import Reported, Requested
from models.ledger.outcomes import Answered, ReportKept
from models.settings import Settings
from stream_processors.runtime.kafka import open_admin, open_consumer, open_producer
from tests.experiments.chaos.checker import is_repetition
from tests.experiments.chaos.evidence import Books, Spot
from tests.experiments.chaos.pipeline import Pipeline
from tests.experiments.chaos.reading import open_reading
from tests.support.story import MODEL, template

_SITES = [f"site-{number}" for number in range(1, 9)]
_REQUESTS = 3_000
_WITHIN_S = 90.0

Outcomes = dict[Spot, set[bytes]]


async def test_one_worker_two_workers_and_a_plain_fold_say_the_same_of_the_same_stream(tmp_path: Path) -> None:
    (tmp_path / "sites.toml").write_text("".join(f'[sites.{s}]\nmode = "face"\ndevices = ["gate"]\n' for s in _SITES))
    environ = {"FAIRROLL_SITES": str(tmp_path / "sites.toml")}
    async with LocalStack(tmp_path, programs=(*BROKERS, "decider"), ports=Ports.free(), environ=environ) as stack:
        pipeline = Pipeline(stack, tmp_path, {}, 0)
        await _record(stack.settings)
        books = await _decided(stack.settings)
        recorded = set(books.expected)
        by_one = _sent(books, recorded)
        await pipeline.stop("decider")
        await _forget_decisions(stack.settings)
        await pipeline.start("decider")
        pipeline.add_decider("decider-2")
        await pipeline.start("decider-2")
        by_two = _sent(await _decided(stack.settings), recorded)
        await pipeline.close()
    plainly = _expected(books, recorded)
    assert len(plainly) >= 2 * _REQUESTS
    assert _different(by_one, plainly) == {}
    assert _different(by_two, plainly) == {}


async def _record(settings: Settings) -> None:
    async with open_producer(settings) as producer:
        for event in _stream():
            await producer.send(settings.topics.events, encode(event), key=event.site.encode())
        await producer.flush()


def _stream() -> Iterable[Requested | Reported]:
    """People come, some again, and motors tell what they gave; a few reports come twice."""
    lots = Random(1)
    for number in range(_REQUESTS):
        site, request = lots.choice(_SITES), f"request-{number:010}"
        face = FaceSeen(id=request, model=MODEL, template=template(f"person {lots.randrange(700)}"))
        others: list[Request] = [ButtonPressed(id=request), StaffPressed(id=request)]
        asked = lots.choice([face, face, face, *others])
        yield Requested(site=site, device="gate", request=asked)
        report = Dispensed(number=number + 1, request=request, cm=lots.choice([60, 60, 20]))
        yield from [Reported(site=site, device="gate", report=report)] * lots.choice([1, 1, 1, 2])


async def _decided(settings: Settings) -> Books:
    """The books once every event has been decided."""
    async with asyncio.timeout(_WITHIN_S), open_reading(settings) as reading:
        while True:
            await reading.catch_up()
            if all(spot in reading.books.sent for spot, sent in reading.books.expected.items() if sent):
                return reading.books
            await asyncio.sleep(0.5)


async def _forget_decisions(settings: Settings) -> None:
    """Only the recorded events are left; the next decider begins at the first of them."""
    async with open_consumer(
        settings, group=settings.topics.decider_group
    ) as consumer:  # aiokafka's admin deletes no group
        partitions = [TopicPartition(settings.topics.events, number) for number in range(settings.partitions)]
        consumer.assign(partitions)
        await consumer.commit(dict.fromkeys(partitions, 0))
    async with open_admin(settings) as admin, asyncio.timeout(_WITHIN_S):
        await admin.delete_topics([settings.topics.decisions, settings.topics.accounts_changelog])
        while {settings.topics.decisions, settings.topics.accounts_changelog} & set(await admin.list_topics()):
            await asyncio.sleep(0.1)
    await provision(settings)


def _sent(books: Books, recorded: set[Spot]) -> Outcomes:
    """Of the recorded events, repetitions apart."""
    sent: Outcomes = {}
    for spot in recorded:
        expected = books.expected[spot]
        if kept := _answers(v for v in books.sent.get(spot, ()) if v in expected or not is_repetition(v, expected)):
            sent[spot] = kept
    return sent


def _expected(books: Books, recorded: set[Spot]) -> Outcomes:
    return {spot: kept for spot in recorded if (kept := _answers(books.expected[spot]))}


def _answers(sent: Iterable[bytes]) -> set[bytes]:
    return {value for value in sent if isinstance(decode_outcome(value), Answered | ReportKept)}


def _different(sent: Outcomes, expected: Outcomes) -> dict[Spot, tuple[set[bytes] | None, set[bytes] | None]]:
    spots = sent.keys() | expected.keys()
    return {spot: (sent.get(spot), expected.get(spot)) for spot in spots if sent.get(spot) != expected.get(spot)}
