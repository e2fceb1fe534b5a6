"""The pipeline's MQTT sessions: manual acknowledgement, wrapped once."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiomqtt import Client, Message, ProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from models.settings import Settings

__all__ = ["Session", "open_session"]

QOS_AT_LEAST_ONCE = 1
_SESSION_EXPIRY_S = 300
"""How long the broker keeps what an absent instance has not acknowledged."""


class Session:
    """An MQTT 5 session in which nothing is acknowledged but by `acknowledge`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.messages = client.messages

    async def subscribe(self, *filters: str) -> None:
        await self._client.subscribe([(topic, QOS_AT_LEAST_ONCE) for topic in filters])

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False, expiry_s: int | None = None) -> None:
        """Return after the broker's PUBACK."""
        properties = Properties(PacketTypes.PUBLISH)
        if expiry_s is not None:
            properties.MessageExpiryInterval = expiry_s
        await self._client.publish(topic, payload, QOS_AT_LEAST_ONCE, retain, properties)

    def acknowledge(self, message: Message) -> None:
        """Send the PUBACK; MQTT wants them in the order of the messages (MQTT 5, 4.6)."""
        # aiomqtt 2 has no call of its own for it: its issue 345
        self._client._client.ack(message.mid, message.qos)  # noqa: SLF001


@asynccontextmanager
async def open_session(settings: Settings, identifier: str, receive_maximum: int) -> AsyncIterator[Session]:
    """Connect, keeping the session of an earlier connection; raises MqttError when the broker is lost.

    The client's queue is unlimited, since after a reconnect the whole backlog comes at once and aiomqtt
    discards what does not fit.
    """
    host, _, port = settings.mqtt.rpartition(":")
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = _SESSION_EXPIRY_S
    properties.ReceiveMaximum = receive_maximum
    client = Client(
        host,
        int(port),
        identifier=identifier,
        protocol=ProtocolVersion.V5,
        clean_start=False,
        properties=properties,
        # Nagle's algorithm would hold a publish back by 40 ms until the broker's delayed ACK
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )
    # before connecting: afterwards one message of a backlog is acknowledged by itself at each reconnect
    client._client.manual_ack_set(True)  # noqa: FBT003, SLF001 - paho's signature; issue 345, as above
    async with client:
        yield Session(client)
