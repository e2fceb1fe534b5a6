"""The pipeline's MQTT sessions: manual acknowledgement, wrapped once."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, NamedTuple, cast

from aiomqtt import Message, MqttError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from models.process.mqtt_client import Client
from models.settings import Settings, host_and_port
from stream_processors.runtime.mqtt_batching import BatchingClient

__all__ = ["Received", "Session", "open_session", "read_retained"]

QOS_AT_LEAST_ONCE = 1
QOS_AT_MOST_ONCE = 0
_KEEPALIVE_S = 10
"""Keep-alive: a silent broker is lost after at most twice this."""
_ANSWER_S = 10.0
"""For the broker to accept a connection, of which paho takes up to 5 s for TCP, or a publication."""
_SUBACK_S = 60.0
"""A SUBACK follows the queued messages of the session, of which a busy machine reads 1,700 a second."""
_SESSION_EXPIRY_S = 60
"""How long the broker keeps what an absent instance has not acknowledged.

Long enough for a restart under the same name, which finds all of it again. Not longer, because a dead instance keeps
its share of a shared subscription until then, and mosquitto hands none of that to the others: for a minute some
messages reach no consumer until their senders repeat them.
"""


_MOST_TOGETHER = 100
"""Messages of a batch: the first of them waits for the last one's record before it is acknowledged."""
_NO_TOPIC = "fairroll/no/such/topic"
_DATE_EVERY_S = 0.5
_LATE_S = 1.5
"""A message that may have waited in the socket for this long is dated back. Above the time between two answers."""


class Received(NamedTuple):
    """A message that came, to be acknowledged."""

    topic: str
    payload: bytes
    expiry_s: int | None
    """what was left of its expiry when it came"""
    at: float
    """when it came, or somewhat earlier, in seconds of `time.monotonic`"""
    mid: int
    qos: int


class Session:
    """An MQTT 5 session in which nothing is acknowledged but by `acknowledge`.

    Whatever waits for the broker raises MqttError when it is lost, MqttRejected, which is one, when it refuses, and
    TimeoutError when it does not answer.
    """

    def __init__(self, client: Client, arrivals: "_Arrivals") -> None:
        self._client, self._arrivals = client, arrivals

    @property
    def messages(self) -> AsyncIterator[Received]:
        """What comes, in order; raises MqttError when the broker is lost."""
        return self._received()

    async def batches(self) -> AsyncIterator[list[Received]]:
        """What has come, in order: as soon as there is a message, with those behind it; raises as `messages`."""
        async for item in self._client.messages:
            yield [cast("Received", item), *self._arrivals.take(_MOST_TOGETHER - 1)]

    async def subscribe(self, *filters: str) -> None:
        async with asyncio.timeout(_SUBACK_S):
            await self._client.subscribe([(topic, QOS_AT_LEAST_ONCE) for topic in filters])

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False, expiry_s: int | None = None) -> None:
        """Return after the broker's PUBACK."""
        async with asyncio.timeout(_ANSWER_S):
            await self._publish(topic, payload, expiry_s, retain=retain)

    async def publish_all(self, publications: Iterable[tuple[str, bytes, int | None]]) -> None:
        """Publish topics, payloads and expiries (s) in their order, and return after all PUBACKs."""
        async with asyncio.timeout(_ANSWER_S):
            await asyncio.gather(*(self._publish(*publication) for publication in publications))

    async def _publish(self, topic: str, payload: bytes, expiry_s: int | None, *, retain: bool = False) -> None:
        properties = None
        if expiry_s is not None:
            properties = Properties(PacketTypes.PUBLISH)
            properties.MessageExpiryInterval = expiry_s
        await self._client.publish(topic, payload, QOS_AT_LEAST_ONCE, retain, properties)

    def acknowledge(self, message: Received) -> None:
        """Send the PUBACK; MQTT wants them in the order of the messages (MQTT 5, 4.6)."""
        # aiomqtt 2 has no call of its own for it: its issue 345
        self._client._client.ack(message.mid, message.qos)  # noqa: SLF001

    async def date_arrivals(self) -> None:
        """Learn again and again up to which moment all that the broker sent was read; ends when the broker is lost.

        The answer to a packet follows all that the broker sent before the packet. An UNSUBSCRIBE changes nothing here.
        """
        with suppress(MqttError):
            while True:
                asked = time.monotonic()
                await self._client.unsubscribe(_NO_TOPIC)
                self._arrivals.read_up_to = asked
                await asyncio.sleep(_DATE_EVERY_S)

    async def _received(self) -> AsyncIterator[Received]:
        async for item in self._client.messages:
            yield cast("Received", item)


class _Arrivals(asyncio.Queue[Any]):
    """The client's queue. It keeps of a message what is needed: its properties, as paho holds them, take 5 kB.

    A message came when it is read, unless it may have waited in the socket: a process that was stopped, or is late,
    reads what the broker sent long before. Then it came at the last moment up to which everything had been read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.read_up_to = time.monotonic()

    def take(self, most: int) -> list[Received]:
        """Take what is there."""
        return [self.get_nowait() for _ in range(min(most, self.qsize()))]

    def _put(self, item: Message) -> None:
        now = time.monotonic()
        at = now if now - self.read_up_to < _LATE_S else self.read_up_to
        payload = item.payload if isinstance(item.payload, bytes) else b""
        expiry_s = getattr(item.properties, "MessageExpiryInterval", None)
        super()._put(Received(str(item.topic), payload, expiry_s, at, item.mid, item.qos))


@asynccontextmanager
async def open_session(settings: Settings, identifier: str, receive_maximum: int) -> AsyncIterator[Session]:
    """Connect, keeping the session of an earlier connection; raises as the session does.

    What is not read waits in the client's queue. That is unlimited, since aiomqtt discards what does not fit, and
    bounded by the broker: while nothing is acknowledged by `receive_maximum`; beyond that mosquitto 2.0.11 sends its
    whole backlog, at a reconnect or with the first PUBACKs, so by its `max_queued_messages` and `max_queued_bytes`.
    """
    arrivals = _Arrivals()
    client = _client(settings, identifier, receive_maximum, arrivals, is_kept=True)
    async with AsyncExitStack() as opened:
        async with asyncio.timeout(_ANSWER_S):
            await opened.enter_async_context(client)
        session = Session(client, arrivals)
        dating = asyncio.create_task(session.date_arrivals(), name="date arrivals")
        opened.callback(dating.cancel)
        yield session


async def read_retained(settings: Settings, identifier: str, topic: str) -> bytes:
    """Return the retained message of a topic, on a connection of its own; empty if there is none.

    Without certificates the connection has a client id of its own, so that it disturbs no pipeline of the same names.
    With them it continues the service's session, whose id a broker that takes it from the certificate gives it anyway:
    what comes of it meanwhile is not acknowledged, and the next connection gets it again.

    Raises as the session does.
    """
    client = _client(settings, identifier, 1, _Arrivals(), is_kept=bool(settings.mqtt_cert))
    async with AsyncExitStack() as opened, asyncio.timeout(_SUBACK_S):
        await opened.enter_async_context(client)
        await client.subscribe(topic, QOS_AT_MOST_ONCE)
        await client.unsubscribe(topic)  # answered after what is retained was sent
        return await _payload_of(client, topic)


async def _payload_of(client: Client, topic: str) -> bytes:
    messages = aiter(client.messages)
    arrived = [cast("Received", await anext(messages)) for _ in range(len(client.messages))]
    return next((message.payload for message in arrived if message.topic == topic), b"")


def _client(settings: Settings, identifier: str, receive_maximum: int, arrivals: _Arrivals, *, is_kept: bool) -> Client:
    """Make a client that acknowledges nothing by itself. `is_kept`: continues its session, and leaves it."""
    host, port = host_and_port(settings.mqtt)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = _SESSION_EXPIRY_S if is_kept else 0
    properties.ReceiveMaximum = receive_maximum
    client = BatchingClient(
        host,
        port,
        identifier=settings.topics.client_id(identifier) if is_kept else None,
        keepalive=_KEEPALIVE_S,
        tls=settings.mqtt_tls(identifier),
        queue_type=lambda maxsize: arrivals,  # noqa: ARG005 - aiomqtt's signature; unlimited
        clean_start=not is_kept,
        properties=properties,
    )
    # before connecting: afterwards one queued message is acknowledged by itself at each reconnect
    client._client.manual_ack_set(True)  # noqa: FBT003, SLF001 - paho's signature; issue 345, as above
    return client
