"""Which publications are refused."""

import asyncio
import contextlib

import aiomqtt
import pytest

from models.process.mqtt_client import MqttRejected
from tests.infra.intruders.fort import Fort
from tests.support.intruder import client, cut, witness

pytestmark = pytest.mark.asyncio(loop_scope="package")
_GATE, _LOBBY = "fairroll/v1/park/gate", "fairroll/v1/park/lobby"

_NOT_WRITTEN = [
    ("park.gate", f"{_LOBBY}/request"),
    ("park.gate", f"{_LOBBY}/report"),
    ("park.gate", f"{_LOBBY}/state"),
    ("park.gate", "fairroll/v1/hall/gate/request"),
    ("park.gate", f"{_GATE}/command"),
    ("park.gate", f"{_LOBBY}/command"),
    ("park.gate", "fairroll/v1/park/control"),
    ("park.gate", "fairroll/v1/hall/control"),
    ("park.gate", "fairroll/v1/pipeline"),
    ("park.gate", "fairroll/v2/park/gate/request"),
    ("park.gate", "staging/v1/park/gate/request"),
    ("park.gate", f"{_GATE}/request/more"),
    ("park.gate", "elsewhere"),
    ("park.gate", "$CONTROL/dynamic-security/v1"),
    ("park.gate", "$SYS/broker/uptime"),
    ("ingress-1", f"{_GATE}/command"),
    ("ingress-1", f"{_GATE}/request"),
    ("ingress-1", "fairroll/v1/park/control"),
    ("egress-1", f"{_GATE}/request"),
    ("egress-1", f"{_GATE}/report"),
    ("operator", "fairroll/v1/park/control"),
    ("admin", "fairroll/v1/park/control"),
    ("audit", "fairroll/v1/park/control"),
    ("park.unlisted", f"{_GATE}/request"),
    ("staging:park.gate", f"{_GATE}/request"),
    ("staging:park.gate", "staging/v1/park/gate/request"),
]


@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize(("name", "topic"), _NOT_WRITTEN)
async def test_may_not_publish(fort: Fort, name: str, topic: str, *, retain: bool) -> None:
    async with client(fort.settings, name) as intruder:
        with pytest.raises(MqttRejected, match="0x87 not authorized"):
            await intruder.publish(topic, b"{}", qos=1, retain=retain)


async def test_a_dispenser_may_publish_what_is_its_own(fort: Fort) -> None:
    async with witness(fort.settings) as reader, client(fort.settings, "park.gate") as gate:
        for channel in ("request", "report", "state"):
            await gate.publish(f"{_GATE}/{channel}", channel, qos=1)
        await gate.publish(f"{_GATE}/report", b"last", qos=1)
        assert await reader.seen_before(b"last") == [f"{_GATE}/{channel}" for channel in ("request", "report", "state")]


async def test_ingress_may_withdraw_the_state_of_a_dispenser(fort: Fort) -> None:
    async with client(fort.settings, "ingress-1") as ingress:
        await ingress.publish(f"{_LOBBY}/state", b"", qos=1, retain=True)


@pytest.mark.parametrize("topic", [f"{_LOBBY}/state", "fairroll/v1/park/control", f"{_GATE}/command"])
async def test_a_last_will_on_the_topic_of_another_is_not_published(fort: Fort, topic: str) -> None:
    async with witness(fort.settings) as reader:
        await _die(fort, "park.gate", topic)
        async with client(fort.settings, "park.gate") as gate:
            await gate.publish(f"{_GATE}/report", b"after the will", qos=1)
        assert await reader.seen_before(b"after the will") == []


async def test_a_last_will_on_its_own_state_is_published(fort: Fort) -> None:
    async with witness(fort.settings) as reader:
        await _die(fort, "park.gate", f"{_GATE}/state")
        assert await reader.seen_before(b"will") == []


async def test_an_oversize_message_disconnects_and_is_not_delivered(fort: Fort) -> None:
    async with witness(fort.settings) as reader:
        with pytest.raises(aiomqtt.MqttError):
            await _publish_oversize(fort)
        async with client(fort.settings, "park.gate") as gate:
            await gate.publish(f"{_GATE}/report", b"after it", qos=1)
        assert await reader.seen_before(b"after it") == []


async def _publish_oversize(fort: Fort) -> None:
    async with client(fort.settings, "park.gate") as gate:
        await gate.publish(f"{_GATE}/request", bytes(20_000), qos=0)
        await asyncio.wait_for(anext(aiter(gate.messages)), 20)


async def _die(fort: Fort, name: str, will: str) -> None:
    """Connect with a last will and close the connection without a DISCONNECT."""
    with contextlib.suppress(aiomqtt.MqttError):
        async with client(fort.settings, name, will=will) as dying:
            cut(dying)
            await asyncio.wait_for(anext(aiter(dying.messages)), 20)
