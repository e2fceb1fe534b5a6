"""The connection to the broker: one MQTT connection of one dispenser, from its subscription to its loss."""

import asyncio
import math
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from aiomqtt import Client, Message, MqttError, ProtocolVersion, Will
from msgspec import Struct
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from models.contract.messages import MAX_EXPIRY_S
from models.contract.topics import DEFAULT_NAMESPACE, Channel, Name, Topics
from models.settings import host_and_port

__all__ = ["Identity", "MqttConnection", "open_connection"]

_QOS = 1
_KEEPALIVE_S = 5
"""A silent cut is noticed after one to two of these: a ping without an answer. The broker sends the will after 1.5."""
_CONNECT_TIMEOUT_S = 10.0
"""For the broker to accept a connection and its subscription. Longer than the 5 s that paho takes for TCP alone, in a
thread: one that is given up earlier may connect after all, and throw out the connection that came after it."""
_PUBACK_TIMEOUT_S = 5.0
"""For the broker to accept a publication."""
_MAX_IN_FLIGHT = 64
"""Publications without an acknowledgement: all reports in flight twice."""
_MAX_QUEUED = 1_000
"""Messages that wait to be read; more than a broker in its right mind has for one dispenser."""


class Identity(Struct, frozen=True, kw_only=True):
    """Which dispenser this is."""

    site: Name
    device: Name
    model: str = ""
    """the face model of its camera; empty without one"""
    namespace: Name = DEFAULT_NAMESPACE
    """of its pipeline"""

    def __str__(self) -> str:
        """Unique in the broker and among files."""
        return self.topics.client_id(f"{self.site}.{self.device}")

    @property
    def topics(self) -> Topics:
        """The names on the broker."""
        return Topics(self.namespace)

    def topic(self, channel: Channel) -> str:
        return self.topics.device(self.site, self.device, channel)


class MqttConnection:
    """An open connection. What it cannot deliver is lost here and said again by the state machine."""

    def __init__(self, client: Client, identity: Identity) -> None:
        self._client = client
        self._identity = identity
        self._in_flight: set[asyncio.Task[None]] = set()

    def send(self, channel: Channel, payload: bytes, expiry_s: int | None = None) -> None:
        """Publish, without waiting; what is sent first goes first. Too much at once is dropped."""
        if len(self._in_flight) >= _MAX_IN_FLIGHT:
            return
        task = asyncio.create_task(self._publish(channel, payload, expiry_s))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def retain(self, channel: Channel, payload: bytes) -> None:
        """Publish what the broker tells whoever comes; returns when it has it. Raises MqttError or TimeoutError."""
        async with asyncio.timeout(_PUBACK_TIMEOUT_S):
            await self._client.publish(self._identity.topic(channel), payload, _QOS, retain=True)

    async def messages(self) -> AsyncIterator[tuple[Message, bool]]:
        """What comes, and whether it is the site's control. Raises MqttError when the connection is lost."""
        control = self._identity.topics.control(self._identity.site)
        async for message in self._client.messages:
            yield message, str(message.topic) == control

    def drop(self) -> None:
        """Nothing of this connection is sent on the next one."""
        for task in self._in_flight:
            task.cancel()

    async def _publish(self, channel: Channel, payload: bytes, expiry_s: int | None) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        if expiry_s is not None:
            properties.MessageExpiryInterval = min(expiry_s, MAX_EXPIRY_S)
        with suppress(MqttError, TimeoutError):
            async with asyncio.timeout(_PUBACK_TIMEOUT_S):
                await self._client.publish(self._identity.topic(channel), payload, _QOS, properties=properties)


@asynccontextmanager
async def open_connection(identity: Identity, mqtt: str, will: bytes) -> AsyncIterator[MqttConnection]:
    """Connect to the broker at `mqtt` (host:port) and subscribe; raises MqttError or TimeoutError.

    The session ends with its connection (clean start). A session that the broker kept would bring, after an outage, the
    commands for requests that are closed by then and receipts for reports that are sent again anyway; and it would not
    be safe to rely on, since mosquitto loses its queue when it is killed. What was missed is asked for again, under the
    same ids, and each answer is the same.
    """
    client = Client(
        *host_and_port(mqtt),
        identifier=str(identity),
        protocol=ProtocolVersion.V5,
        clean_start=True,
        keepalive=_KEEPALIVE_S,
        # aiomqtt's own timeouts are asyncio.wait_for, which loses a cancellation that comes at the same moment as the
        # broker's answer (before Python 3.12: cpython issue 86296), and a dispenser that is told to stop would go on
        timeout=math.inf,
        max_queued_incoming_messages=_MAX_QUEUED,
        will=Will(identity.topic("state"), will, _QOS, retain=True),
        # a request is small, and nothing follows that it could be sent together with
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )
    client.pending_calls_threshold = _MAX_IN_FLIGHT
    async with AsyncExitStack() as opened:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            await opened.enter_async_context(client)
            control = identity.topics.control(identity.site)
            await client.subscribe([(identity.topic("command"), _QOS), (control, _QOS)])
        connection = MqttConnection(client, identity)
        try:
            yield connection
        finally:
            connection.drop()
