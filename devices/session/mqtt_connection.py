"""The MQTT connection of one dispenser, from its subscription to its loss."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from aiomqtt import Message, MqttError, Will
from msgspec import Struct
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from models.contract.messages import MAX_EXPIRY_S
from models.contract.topics import DEFAULT_NAMESPACE, Channel, Name, Topics
from models.process.mqtt_client import Client, MqttRejected
from models.process.mqtt_tls import MqttTls
from models.settings import host_and_port

__all__ = ["Identity", "MqttConnection", "open_connection"]

log = structlog.get_logger()

_QOS = 1
_KEEPALIVE_S = 5
"""MQTT keep-alive. A silent cut is detected after 1 to 2 intervals; the broker publishes the last will after 1.5."""
_CONNECT_TIMEOUT_S = 10.0
"""Timeout of CONNACK and SUBACK. Longer than the 5 s that paho takes for TCP in a thread: an attempt that is cancelled
earlier may still connect later, and take over the session of the next connection."""
_PUBACK_TIMEOUT_S = 5.0
"""Timeout of a PUBACK."""
_MAX_IN_FLIGHT = 64
"""Limit of publications without a PUBACK: twice the reports in flight."""
_MAX_QUEUED = 1_000
"""Limit of received messages in the queue; far more than one dispenser receives in normal operation."""


class Identity(Struct, frozen=True, kw_only=True):
    """Identity of a dispenser: site, device, face model, namespace."""

    site: Name
    device: Name
    model: str = ""
    """face model of the camera; empty without a camera"""
    namespace: Name = DEFAULT_NAMESPACE
    """namespace of the pipeline"""

    def __str__(self) -> str:
        """Return the client id; unique on the broker and among the journal files."""
        return self.topics.client_id(f"{self.site}.{self.device}")

    @property
    def topics(self) -> Topics:
        """Topic names in the namespace."""
        return Topics(self.namespace)

    def topic(self, channel: Channel) -> str:
        return self.topics.device(self.site, self.device, channel)


class MqttConnection:
    """An open connection. It drops what it cannot deliver; the state machine repeats it."""

    def __init__(self, client: Client, identity: Identity) -> None:
        self._client = client
        self._identity = identity
        self._in_flight: set[asyncio.Task[None]] = set()
        self._logged: set[str] = set()

    def send(self, channel: Channel, payload: bytes, expiry_s: int | None = None) -> None:
        """Publish in order, without waiting for the PUBACK. Beyond the limit in flight the message is dropped."""
        if len(self._in_flight) >= _MAX_IN_FLIGHT:
            return
        task = asyncio.create_task(self._publish(channel, payload, expiry_s))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def retain(self, channel: Channel, payload: bytes) -> None:
        """Publish a retained message and wait for its PUBACK. Raises MqttError or TimeoutError."""
        async with asyncio.timeout(_PUBACK_TIMEOUT_S):
            await self._client.publish(self._identity.topic(channel), payload, _QOS, retain=True)

    async def messages(self) -> AsyncIterator[tuple[Message, bool]]:
        """Yield each message, and whether it is the site's control. Raises MqttError when the connection is lost."""
        control = self._identity.topics.control(self._identity.site)
        async for message in self._client.messages:
            yield message, str(message.topic) == control

    def drop(self) -> None:
        """Cancel the publications in flight, so that none is sent on the next connection."""
        for task in self._in_flight:
            task.cancel()

    async def _publish(self, channel: Channel, payload: bytes, expiry_s: int | None) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        if expiry_s is not None:
            properties.MessageExpiryInterval = min(expiry_s, MAX_EXPIRY_S)
        try:
            async with asyncio.timeout(_PUBACK_TIMEOUT_S):
                await self._client.publish(self._identity.topic(channel), payload, _QOS, properties=properties)
        except MqttRejected as rejection:
            self._log_once(rejection)
        except (MqttError, TimeoutError):
            return

    def _log_once(self, rejection: MqttRejected) -> None:
        """Log a rejection once on this connection; the state machine repeats what was rejected."""
        if str(rejection) not in self._logged:
            self._logged.add(str(rejection))
            log.error(str(rejection))


@asynccontextmanager
async def open_connection(
    identity: Identity, mqtt: str, will: bytes, tls: MqttTls | None = None
) -> AsyncIterator[MqttConnection]:
    """Connect to the broker at `mqtt` (host:port) and subscribe. Raises MqttRejected, MqttError or TimeoutError.

    With `tls` its files are read for each connection; raises ConfigError if that is impossible.

    The session ends with the connection (clean start). A persistent session would deliver, after an outage, commands
    for requests that are closed by then and acknowledgements of reports that are repeated anyway; and it is not
    reliable: mosquitto loses its queue when it is killed. Requests are repeated under the same ids and get the same
    answers.
    """
    client = Client(
        *host_and_port(mqtt),
        identifier=str(identity),
        clean_start=True,
        keepalive=_KEEPALIVE_S,
        max_queued_incoming_messages=_MAX_QUEUED,
        tls=tls,
        will=Will(identity.topic("state"), will, _QOS, retain=True),
    )
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
