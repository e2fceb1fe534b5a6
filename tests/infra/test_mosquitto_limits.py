"""The shipped mosquitto.conf bounds what the broker keeps, whatever its clients send."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from infra.local.ports import Ports
from infra.local.stack import LocalStack
from models.settings import host_and_port

_QUEUED_BYTES = 64 << 20
_OVERHEAD_BYTES = 64 << 20
"""Of mosquitto itself, and of a queue's messages beside their payloads."""
_SESSION_S = 3_600
_FOR_EVER = 2**32 - 1


@asynccontextmanager
async def _client(stack: LocalStack, identifier: str, *, session_s: int = 0) -> AsyncIterator[aiomqtt.Client]:
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = session_s
    host, port = host_and_port(stack.settings.mqtt)
    client = aiomqtt.Client(
        host,
        port,
        identifier=identifier,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=not session_s,
        properties=properties,
    )
    client.pending_calls_threshold = 1_000
    async with client:
        yield client


async def _sleeper(stack: LocalStack) -> None:
    """Leave a session that asks to be kept for ever."""
    async with _client(stack, "sleeper", session_s=_FOR_EVER) as client:
        await client.subscribe("flood", qos=1)


async def test_a_sleeping_session_keeps_messages_up_to_its_limit(tmp_path: Path) -> None:
    async with LocalStack(tmp_path, programs=["mosquitto"], ports=Ports.free()) as stack:
        await _sleeper(stack)
        async with _client(stack, "flood") as flood:
            for _ in range(40):
                await asyncio.gather(*(flood.publish("flood", bytes(65_536), qos=1) for _ in range(50)))
        assert _resident_bytes(stack["mosquitto"].pid) < _QUEUED_BYTES + _OVERHEAD_BYTES
        async with _client(stack, "sleeper", session_s=_FOR_EVER) as client:
            messages = aiter(client.messages)
            for _ in range(_QUEUED_BYTES // 65_536 // 2):  # what came first was kept
                await asyncio.wait_for(anext(messages), 10)


async def test_no_session_outlives_its_client_by_more_than_an_hour(tmp_path: Path) -> None:
    async with LocalStack(tmp_path, programs=["mosquitto"], ports=Ports.free()) as stack:
        await _sleeper(stack)
        async with _client(stack, "behind it"):
            pass
    stored = (tmp_path / "data/mosquitto/mosquitto.db").read_bytes()
    place = stored.index(b"sleeper") - 24  # session_expiry_time, 64 bits, in 2.0's format of a client
    assert time.time() < int.from_bytes(stored[place : place + 8], "little") <= time.time() + _SESSION_S


async def test_the_largest_packet_is_two_megabytes(tmp_path: Path) -> None:
    async with LocalStack(tmp_path, programs=["mosquitto"], ports=Ports.free()) as stack:
        async with _client(stack, "large") as client:
            await client.publish("large", bytes(2_000_000), qos=1)
        with pytest.raises(aiomqtt.MqttError):
            await _publish_and_wait(stack, 2_100_000)


async def _publish_and_wait(stack: LocalStack, size: int) -> None:
    async with _client(stack, "larger") as client:
        await client.publish("large", bytes(size), qos=0)
        await asyncio.wait_for(anext(aiter(client.messages)), 10)


def _resident_bytes(pid: int | None) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return 1024 * int(line.split()[1])
