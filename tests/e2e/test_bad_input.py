"""What cannot be read is put aside with its reason, counted, and stops nothing."""

import base64
import hashlib
import json
import uuid
from typing import Any

import pytest

from infra.local.stack import LocalStack
from models.contract.codec import decode_dead_letter
from models.contract.dead_letters import DeadLetter
from tests.e2e.pipeline_client import eventually, in_influx, listen, records

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEMPLATE = base64.b64encode(hashlib.sha512(b"a face that must not be stored").digest())
WALL = "fairroll/v1/park/wall"


def face(**changes: Any) -> bytes:
    received = {"kind": "face", "id": uuid.uuid4().hex, "model": "synthetic/1", "template": TEMPLATE.decode()}
    return json.dumps(received | changes).encode()


BAD = [
    (f"{WALL}/request", b"not JSON " + TEMPLATE, "not JSON"),
    ("fairroll/v2/park/wall/request", face(), "unknown version"),
    (f"{WALL}/report", b'{"kind":"stock","number":1,"cm":NaN}', "not JSON"),
    (f"{WALL}/request", face(template=TEMPLATE[:-4].decode()), "$.template"),
    (f"{WALL}/request", face(template=None, note=TEMPLATE.decode()), "$.template"),
    (f"{WALL}/request", TEMPLATE * 12_000, "at most 4096 are read"),
    ("fairroll/v1/moon/wall/request", face(), "unknown site or device"),
    ("fairroll/v1/park/moon/request", face(), "unknown site or device"),
    (f"{WALL}/report", face(kind="dispense"), "$.kind"),
    (f"{WALL}/request", face(kind="tomorrow"), "$.kind"),
    (f"{WALL}/request", face(kind=TEMPLATE.decode()), "$.kind"),
    (f"{WALL}/request", face(id="../../etc/passwd"), "$.id"),
    (f"{WALL}/request", face(model="synthetic/1\n"), "$.model"),
    (f"{WALL}/state", b'{"online":"perhaps"}', "$.online"),
]


async def test_bad_input_is_put_aside_and_counted_and_the_next_request_is_answered(pipeline: LocalStack) -> None:
    settings = pipeline.settings
    wanted = {hashlib.sha256(payload).hexdigest() for _, payload, _ in BAD}

    async def letters() -> dict[str, DeadLetter]:
        kept = [decode_dead_letter(record.value) for record in await records(settings, settings.topics.dead_letters)]
        return {letter.sha256: letter for letter in kept}

    async def counted() -> int:
        return sum(row["n"] for row in await in_influx(settings, "SELECT count(size) AS n FROM dead_letters"))

    async with listen(pipeline, "park", "wall") as wall:
        for topic, payload, _ in BAD:
            await wall.publish(topic, payload)
        button = uuid.uuid4().hex
        assert (await wall.ask({"kind": "button", "id": button}))["request"] == button
    found = await eventually(letters, lambda seen: wanted <= seen.keys())
    for topic, payload, reason in BAD:
        letter = found[hashlib.sha256(payload).hexdigest()]
        assert (letter.source, letter.size) == (topic, len(payload))
        assert reason in letter.reason
    values = b"".join(record.key + record.value for record in await records(settings, settings.topics.dead_letters))
    assert TEMPLATE[:16] not in values
    assert await eventually(counted, lambda n: n >= len(BAD)) >= len(BAD)
    for process in pipeline:
        process.check()


async def test_a_device_whose_clock_is_a_day_off_is_answered_like_any_other(pipeline: LocalStack) -> None:
    async with listen(pipeline, "park", "wall") as wall:
        for clock in ("2001-01-01T00:00:00Z", "2099-01-01T00:00:00Z", -86_400_000):
            person = base64.b64encode(hashlib.sha512(str(clock).encode()).digest()).decode()
            received = {"kind": "face", "model": "synthetic/1", "template": person, "clock": clock, "at": clock}
            assert (await wall.ask(received | {"id": uuid.uuid4().hex}))["kind"] == "dispense"
            refused = await wall.ask(received | {"id": uuid.uuid4().hex})
            assert 110 <= refused["retry_after_s"] <= 120  # until the grant without a report is given back
