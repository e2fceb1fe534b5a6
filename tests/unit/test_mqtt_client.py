"""Reason codes, from a broker that answers every packet with a given one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiomqtt import MqttError

from models.process.mqtt_client import Client, MqttRejected


class Broker:
    def __init__(
        self, *, connack: int = 0, puback: int = 0, suback: tuple[int, ...] = (), closes: bool = False
    ) -> None:
        self.connack, self.puback, self.suback, self.closes = connack, puback, suback, closes

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not self.closes:
                kind, length = await reader.readexactly(2)  # no packet here is longer than 127 bytes
                body = await reader.readexactly(length)
                writer.write(self._packet(kind >> 4, body))
        except asyncio.IncompleteReadError:
            pass
        writer.close()

    def _packet(self, kind: int, body: bytes) -> bytes:
        match kind:
            case 1:
                return bytes([0x20, 3, 0, self.connack, 0])
            case 3:
                mid = 2 + int.from_bytes(body[:2])
                return bytes([0x40, 3, *body[mid : mid + 2], self.puback])
            case 8:
                return bytes([0x90, 3 + len(self.suback), *body[:2], 0, *self.suback])
            case _:
                return b""


@asynccontextmanager
async def connected(broker: Broker, **options: Any) -> AsyncIterator[Client]:
    server = await asyncio.start_server(broker.answer, "127.0.0.1", 0)
    async with (
        server,
        asyncio.timeout(10),
        Client("127.0.0.1", server.sockets[0].getsockname()[1], **options) as client,
    ):
        yield client


async def test_a_connection_that_is_closed_without_a_connack_is_an_error() -> None:
    with pytest.raises(MqttError, match="closed the connection of user egress before its CONNACK"):
        async with connected(Broker(closes=True), user="egress"):
            pass


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0x87, "(0x87 not authorized). Check the ACL of user egress."),
        (0x97, "(0x97 quota exceeded). Check the broker's limits for user egress."),
        (0x80, "(0x80 unspecified error). Check the broker's log for user egress."),
    ],
)
async def test_a_negative_puback_is_an_error_that_names_broker_topic_code_and_remedy(code: int, text: str) -> None:
    async with connected(Broker(puback=code), user="egress") as client:
        with pytest.raises(MqttRejected) as rejection:
            await client.publish("fairroll/v1/park/gate/command", b"{}", 1)
    assert str(rejection.value).startswith("MQTT broker 127.0.0.1:")
    assert str(rejection.value).endswith(f" rejected PUBLISH to fairroll/v1/park/gate/command {text}")
    assert rejection.value.code == code


@pytest.mark.parametrize("code", [0, 0x10])
async def test_a_publication_without_a_subscriber_is_published(code: int) -> None:
    async with connected(Broker(puback=code)) as client:
        await client.publish("fairroll/v1/park/gate/request", b"{}", 1)


async def test_a_rejection_belongs_to_its_own_publication() -> None:
    async with connected(broker := Broker(puback=0x87), identifier="park.gate") as client:
        results = await asyncio.gather(*(client.publish(f"t/{n}", b"", 1) for n in range(20)), return_exceptions=True)
        assert [str(result).split(" (")[0].rpartition(" ")[2] for result in results] == [f"t/{n}" for n in range(20)]
        broker.puback = 0
        await asyncio.gather(*(client.publish(f"t/{n}", b"", 1) for n in range(20)))


async def test_a_publication_that_was_given_up_leaves_nothing() -> None:
    async with connected(Broker(puback=0x87)) as client:
        publishing = asyncio.create_task(client.publish("t", b"", 1))
        await asyncio.sleep(0)
        publishing.cancel()
        with pytest.raises(MqttRejected):
            await client.publish("t", b"", 1)
        assert not client._failures  # noqa: SLF001 - what a service that runs for months would keep


async def test_a_negative_suback_names_the_filters_that_are_denied() -> None:
    async with connected(Broker(suback=(1, 0x87)), identifier="park.gate") as client:
        with pytest.raises(MqttRejected, match=r"SUBSCRIBE to b \(0x87 not authorized\).*ACL of client park.gate"):
            await client.subscribe([("a", 1), ("b", 1)])


async def test_a_negative_connack_names_whose_password_to_check() -> None:
    with pytest.raises(MqttRejected, match=r"CONNECT \(0x86 bad user name or password\). .*password of user egress"):
        async with connected(Broker(connack=0x86), username="egress"):
            pass
