"""A pipeline that is recorded: brokers, key holder and decider, and a crowd that is written straight into Kafka."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from aiokafka import AIOKafkaConsumer
from msgspec import structs

from infra.kafka_records import read_records
from infra.local.ports import Ports
from infra.local.stack import LocalStack
from infra.local.supervisor import supervise
from models.contract.codec import decode_control, encode
from models.contract.messages import ButtonPressed, Dispensed, FaceSeen, ForgetRequested, Request, StaffPressed
from models.keys.seals import NONCE_BYTES, binding
from models.ledger.codec import decode_outcome
from models.ledger.events import Reported, Requested
from models.ledger.outcomes import Answered, ReportKept
from models.settings import Settings
from stream_processors.runtime.kafka import open_consumer, open_producer
from stream_processors.runtime.key_client import Keys, open_keys
from tests.support.story import template

__all__ = ["REAL", "SIMULATED", "crowd", "decide", "stage"]

SIMULATED = tuple(f"meadow-{number}" for number in range(1, 7))
REAL = ("park", "square")
_PARTS = ("mosquitto", "kafka", "keyholder", "decider")
_DEVICES = tuple(f"d{number}" for number in range(20))
_MODELS = dict.fromkeys(SIMULATED, "synthetic/1") | dict.fromkeys(REAL, "dlib-resnet/1")
_POLICY = "[sites.{site}.policy]\nwindow_s = 3600\nbutton_budget_cm = 100000\ndispenser_limit_cm = 100000\n"
"""The window is long enough for a slow machine to read what it was fed."""
_WITHIN_S = 900.0
_AT_ONCE = 1_000
"""events under way"""


@asynccontextmanager
async def stage(folder: Path, *others: str, policy: str = "", **environ: str) -> AsyncIterator[LocalStack]:
    """With faces at every site, and all of them known to the key holder. `others`: parts; `policy`: lines of it."""
    (folder / "sites.toml").write_text("".join(_table(site) + policy for site in (*SIMULATED, *REAL)))
    environ["FAIRROLL_SITES"] = str(folder / "sites.toml")
    async with LocalStack(folder, programs=(*_PARTS, *others), ports=Ports.free(), environ=environ) as stack:
        async with asyncio.timeout(_WITHIN_S):
            while await _with_faces(stack.settings) != {*SIMULATED, *REAL}:
                await asyncio.sleep(0.3)
        keeping = asyncio.create_task(supervise(stack, print), name="supervise")
        yield stack
        keeping.cancel()


def _table(site: str) -> str:
    devices = ", ".join(f'"{device}"' for device in _DEVICES)
    simulated = str(site in SIMULATED).lower()
    head = f'[sites.{site}]\nmode = "face"\nsimulated = {simulated}\ndevices = [{devices}]\n'
    return head + _POLICY.format(site=site)


async def _with_faces(settings: Settings) -> set[str]:
    controls = [
        decode_control(record.value)
        for record in await read_records(settings, settings.topics.controls)
        if record.value
    ]
    return {control.site for control in controls if control.mode == "face"}


def crowd(requests: int, seed: int = 1, forget: float = 0.01) -> Iterator[Requested | Reported]:
    """People come, most more than once, by all ways; some ask to be forgotten; motors report what they dispensed."""
    lots = Random(seed)
    people = max(requests // 24, 5)
    for number in range(requests):
        site, device, request = lots.choice((*SIMULATED, *REAL)), lots.choice(_DEVICES), f"request-{seed}-{number:010}"
        seen = template(f"{site} {lots.randrange(people)}", flipped=lots.choice((0, 20, 60)))
        yield Requested(site=site, device=device, request=_request(lots, request, _MODELS[site], seen, forget))
        if lots.random() < 1 / 4:
            report = Dispensed(number=number + 1, request=request, cm=lots.choice([60, 60, 20]))
            yield from [Reported(site=site, device=device, report=report)] * lots.choice([1, 1, 2])


def _request(lots: Random, request: str, model: str, seen: bytes, forget: float) -> Request:
    chance = lots.random()
    if chance < forget:
        return ForgetRequested(id=request, model=model, template=seen)
    if chance < 1 / 8:
        return ButtonPressed(id=request) if lots.random() < 1 / 2 else StaffPressed(id=request)
    return FaceSeen(id=request, model=model, template=seen)


async def decide(settings: Settings, events: Iterable[Requested | Reported]) -> list[tuple[int, bytes]]:
    """Write them as ingress does, templates sealed, no faster than they are decided.

    Returns every decision from then on until each of them has its own, with its partition.
    """
    async with open_consumer(settings, settings.topics.decisions, group=None) as consumer:
        await consumer.seek_to_end()
        answers, asked, lots = _Answers(consumer), 0, Random(7)
        async with open_producer(settings) as producer, open_keys(settings, "ingress") as keys:
            for event in events:
                await producer.send(settings.topics.events, encode(_sealed(event, keys, lots)), key=event.site.encode())
                asked += 1
                if asked % _AT_ONCE == 0:
                    await answers.to(asked)
            await producer.flush()
        await answers.to(asked)
        return answers.outcomes


class _Answers:
    """The outcomes that deciders sent so far."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._decided: set[tuple[int, int]] = set()
        self.outcomes: list[tuple[int, bytes]] = []

    async def to(self, events: int) -> None:
        """Read until so many requests and reports have their decision."""
        async with asyncio.timeout(_WITHIN_S):
            while len(self._decided) < events:
                for batch in (await self._consumer.getmany(timeout_ms=1000)).values():
                    for record in batch:
                        self._take(record.partition, record.value)

    def _take(self, partition: int, value: bytes) -> None:
        self.outcomes.append((partition, value))
        outcome = decode_outcome(value)
        if isinstance(outcome, Answered | ReportKept):
            self._decided.add((partition, outcome.offset))


def _sealed(event: Requested | Reported, keys: Keys, lots: Random) -> Requested | Reported:
    if isinstance(event, Reported) or not isinstance(event.request, FaceSeen | ForgetRequested):
        return event
    request, bound = event.request, binding(event.site, event.device, event.request.id)
    sealed = keys.seal(event.site, request.template or b"", bound, lots.randbytes(NONCE_BYTES))
    return structs.replace(event, request=structs.replace(request, template=None), sealed=sealed)
