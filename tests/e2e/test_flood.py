"""One dispenser floods: it fills neither Kafka nor the dead letters, and another dispenser of its site is answered."""

import asyncio
import json
import time
import uuid

import aiohttp
import aiomqtt
import msgspec
import pytest

from infra.local.stack import LocalStack
from models.contract.codec import decode_state, encode
from models.contract.messages import ButtonPressed, DeviceState
from models.contract.states import state_key
from models.settings import host_and_port
from stream_processors.runtime.health import Vitals
from tests.e2e.pipeline_client import Kept, eventually, listen, records

pytestmark = pytest.mark.asyncio(loop_scope="session")

FLOODED = "fairroll/v1/dam/flooded"
BUTTONS, BAD, STATES = 1_500, 1_500, 100


async def test_while_a_dispenser_floods_another_is_answered(pipeline: LocalStack) -> None:
    settings = pipeline.settings
    before = await counts(pipeline)
    began = time.monotonic()
    async with listen(pipeline, "dam", "dry") as dry, asyncio.TaskGroup() as tasks:
        flooding = tasks.create_task(flood(pipeline))
        answered = 0
        while not flooding.done() or not answered:
            button = uuid.uuid4().hex
            assert (await dry.ask({"kind": "button", "id": button}))["request"] == button
            answered += 1

    def all_came(now: dict[str, int]) -> bool:
        came = sum(now[name] - before[name] for name in ("kept", "limited"))
        return came >= BUTTONS + BAD + STATES + answered

    after = await eventually(lambda: counts(pipeline), all_came)
    took_s = time.monotonic() - began
    events = [json.loads(event.value) for event in await records(settings, settings.topics.events) if event.value]
    mine = [event for event in events if event.get("site") == "dam" and event.get("device") == "flooded"]
    assert len(mine) <= 200 + 20 * took_s + 1
    letters = [letter for letter in await records(settings, settings.topics.dead_letters) if b"/flooded/" in letter.key]
    assert len(letters) <= 50 + took_s + 1
    assert after["limited"] - before["limited"] > 0

    async def last_state() -> list[Kept]:
        key = state_key("dam", "flooded").encode()
        return [record for record in await records(settings, settings.topics.states) if record.key == key][-1:]

    [newest] = await eventually(last_state, lambda kept: bool(kept) and decode_state(kept[0].value).sequence == STATES)
    assert decode_state(newest.value).sequence == STATES


async def flood(pipeline: LocalStack) -> None:
    host, port = host_and_port(pipeline.settings.mqtt)
    async with aiomqtt.Client(host, port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        client.pending_calls_threshold = 1_000
        for _ in range(0, BUTTONS, 50):
            await asyncio.gather(*(client.publish(f"{FLOODED}/request", button(), qos=1) for _ in range(50)))
            await asyncio.gather(*(client.publish(f"{FLOODED}/request", b"bad", qos=1) for _ in range(50)))
        for sequence in range(1, STATES + 1):
            state = DeviceState(online=True, sequence=sequence)
            await client.publish(f"{FLOODED}/state", encode(state), qos=1, retain=True)


def button() -> bytes:
    return encode(ButtonPressed(id=uuid.uuid4().hex))


async def counts(pipeline: LocalStack) -> dict[str, int]:
    url = f"http://{pipeline['ingress'].program.address}/healthz"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return msgspec.json.decode(await answer.read(), type=Vitals).counts
