"""Nothing is lost between a crowd and the books: what dispensers tell, what Kafka keeps, what InfluxDB counts."""

import base64
import hashlib
import uuid
from typing import TypeGuard

import msgspec
import pytest

from devices.session.site_key import read_site_key, site_key_file
from devices.simulation.fleet import Tally
from infra.local.stack import LocalStack
from models.contract.codec import decode_control, encode
from models.contract.messages import Ack, Dispensed, FaceSeen, ForgetRequested, LocalRation
from models.ledger.codec import decode_event, decode_outcome
from models.ledger.events import EpochEnded, Reported, Requested
from models.ledger.outcomes import Answered
from stream_processors.runtime.kafka import open_producer
from tests.e2e.pipeline_client import eventually, in_influx, listen, records
from tests.support.processes import dispenser

pytestmark = pytest.mark.asyncio(loop_scope="session")

COUNT = "SELECT sum(n) AS n FROM requests WHERE site = 'meadow'"


async def test_a_crowd_is_answered_to_the_last_and_every_book_agrees(pipeline: LocalStack) -> None:
    settings = pipeline.settings
    *_, last = (
        await dispenser(pipeline.settings, "fleet", "--journals", "--visitors", "60", "--seconds", "6", "--seed", "3")
    ).lines
    tally = msgspec.json.decode(last, type=Tally)
    assert tally.done
    assert tally.requests >= 60
    assert tally.requests == tally.answers + tally.rations
    assert (tally.answers, tally.unacknowledged) == (tally.requests, 0)
    assert tally.answers == tally.portions + sum(tally.refusals.values()) + tally.forgotten

    events = [e for e in map(decode_event, await values(pipeline, settings.topics.events)) if is_of_the_fleet(e)]
    asked = {e.request.id for e in events if isinstance(e, Requested)}
    outcomes = map(decode_outcome, await values(pipeline, settings.topics.decisions))
    answered = [o for o in outcomes if isinstance(o, Answered) and o.site == "meadow" and not o.repeated]
    decided = [o.command.request for o in answered if not isinstance(o.command, Ack)]
    assert len(asked) == tally.requests
    assert sorted(decided) == sorted(asked)

    received = {(e.device, e.report.number): e.report for e in events if isinstance(e, Reported)}
    assert sum(r.cm for r in received.values() if isinstance(r, Dispensed | LocalRation)) == tally.cm

    async def counted() -> int:
        rows = await in_influx(settings, COUNT)
        return sum(row["n"] for row in rows)

    assert await eventually(counted, lambda n: n >= len(decided)) == len(decided)


async def test_after_an_epoch_has_ended_the_fleet_s_templates_are_of_the_next_one_and_people_are_known(
    pipeline: LocalStack,
) -> None:
    settings = pipeline.settings
    key = site_key_file(settings, "meadow")
    ended = read_site_key(key).epoch

    async def epoch() -> int:
        controls = [decode_control(control) for control in await values(pipeline, settings.topics.controls)]
        return max(control.epoch for control in controls if control.site == "meadow")

    async with open_producer(settings) as producer:
        await producer.send_and_wait(
            settings.topics.events, encode(EpochEnded(site="meadow", epoch=ended)), key=b"meadow"
        )
    assert await eventually(epoch, lambda number: number > ended) == ended + 1
    *_, last = (await dispenser(pipeline.settings, "fleet", "--visitors", "40", "--seconds", "4", "--seed", "5")).lines
    tally = msgspec.json.decode(last, type=Tally)
    assert (tally.answers, tally.unacknowledged) == (tally.requests, 0)
    assert tally.refusals["quota"] > 0
    assert read_site_key(key).epoch == ended + 1
    events = [e for e in map(decode_event, await values(pipeline, settings.topics.events)) if is_of_the_fleet(e)]
    faces = [e.request for e in events if isinstance(e, Requested) and isinstance(e.request, FaceSeen)]
    assert {request.epoch for request in faces[-20:]} == {ended + 1}


async def test_no_template_leaves_the_events(pipeline: LocalStack) -> None:
    mine = FaceSeen(id=uuid.uuid4().hex, model="synthetic/1", template=hashlib.sha512(b"fay").digest())
    async with listen(pipeline, "park", "window") as window:
        await window.ask(msgspec.to_builtins(mine))
    topics = pipeline.settings.topics
    events = map(decode_event, await values(pipeline, topics.events))
    requests = [mine, *(e.request for e in events if isinstance(e, Requested))]
    faces = [r.template for r in requests if isinstance(r, FaceSeen | ForgetRequested) and r.template]
    for topic in (
        topics.decisions,
        topics.states,
        topics.controls,
        topics.dead_letters,
    ):
        kept = b"\n".join(await values(pipeline, topic))
        for face in faces:
            for written in (face, face.hex().encode(), base64.b64encode(face)):
                assert written[:24] not in kept, topic


def is_of_the_fleet(event: object) -> TypeGuard[Requested | Reported]:
    return isinstance(event, Requested | Reported) and event.site == "meadow"


async def values(pipeline: LocalStack, topic: str) -> list[bytes]:
    return [record.value for record in await records(pipeline.settings, topic)]
