"""An MQTT client that tries what it may not, and a witness of what the broker delivers."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiomqtt import Will

from models.process.mqtt_client import Client
from models.settings import Settings, host_and_port

__all__ = ["Witness", "client", "connack", "connected", "cut", "is_closed", "is_refused", "witness"]

_WITHIN_S = 20.0


def connack(settings: Settings, context: ssl.SSLContext | None, client_id: str = "") -> bytes:
    """What the broker answers to a CONNECT; empty if it closes the connection instead."""
    try:
        with socket.create_connection(host_and_port(settings.mqtt), timeout=_WITHIN_S) as plain:
            line = context.wrap_socket(plain, server_hostname="127.0.0.1") if context else plain
            with line:
                line.sendall(_connect(client_id.encode()))
                return line.recv(64)
    except (ssl.SSLError, ConnectionError):
        return b""


def connected(settings: Settings, context: ssl.SSLContext, client_id: str) -> ssl.SSLSocket:
    """A connection that the broker has accepted, and that stays open."""
    plain = socket.create_connection(host_and_port(settings.mqtt), timeout=_WITHIN_S)
    line = context.wrap_socket(plain, server_hostname="127.0.0.1")
    line.sendall(_connect(client_id.encode()))
    assert not is_refused(line.recv(64))
    return line


def is_closed(line: ssl.SSLSocket) -> bool:
    """Whether the broker ends the connection: a DISCONNECT (MQTT 5, 3.14), or the end of the stream."""
    answer = line.recv(64)
    return not answer or answer.startswith(b"\xe0")


def is_refused(answer: bytes) -> bool:
    """Whether no connection came of it: no CONNACK, or one with a reason of failure (MQTT 5, 3.2.2.2)."""
    return not answer.startswith(b"\x20") or answer[3] >= 0x80


@asynccontextmanager
async def client(
    settings: Settings, name: str, *, client_id: str | None = None, will: str = "", username: str | None = None
) -> AsyncIterator[Client]:
    """Connect with the certificate of `name`; `will`: the topic of a last will."""
    last_will = Will(will, b"will", 1, retain=False) if will else None
    connected = Client(
        *host_and_port(settings.mqtt),
        tls=settings.mqtt_tls(name),
        identifier=name if client_id is None else client_id,
        username=username,
        password="x" if username else None,
        will=last_will,
        clean_start=True,
    )
    async with connected:
        yield connected


class Witness:
    """The certificate of the audit, which reads every topic."""

    def __init__(self, reader: Client, settings: Settings) -> None:
        self._reader, self._settings = reader, settings

    async def seen_before(self, marker: bytes) -> list[str]:
        """The topics of everything that was delivered before a payload."""
        topics: list[str] = []
        async with asyncio.timeout(_WITHIN_S):
            async for message in self._reader.messages:
                if message.payload == marker:
                    return topics
                topics.append(str(message.topic))
        raise AssertionError


@asynccontextmanager
async def witness(settings: Settings) -> AsyncIterator[Witness]:
    async with client(settings, "audit") as reader:
        await reader.subscribe("#", qos=1)
        yield Witness(reader, settings)


def cut(connected: Client) -> None:
    """Close the connection without a DISCONNECT."""
    line = connected._client.socket()  # noqa: SLF001
    assert isinstance(line, socket.socket)
    line.shutdown(socket.SHUT_RDWR)


def _connect(client_id: bytes) -> bytes:
    body = b"\x00\x04MQTT\x05\x02\x00\x0a\x00" + len(client_id).to_bytes(2, "big") + client_id
    return b"\x10" + bytes([len(body)]) + body
