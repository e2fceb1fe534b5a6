"""aiomqtt's client with the reason codes of CONNACK, SUBACK and PUBACK checked: what a broker rejects is an error.

aiomqtt 2.5.1 returns the codes of a SUBACK without checking them, and drops the code of a PUBACK. Code and message meet
in two of its private methods, `_on_publish` and `_pending_call`; they and `_on_disconnect` are overridden here and
nowhere else. Dispensers and services share this module; nothing else in `models` knows a client library.
"""

import math
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self, TypeVar, cast

import aiomqtt
from aiomqtt import MqttError, ProtocolVersion
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.reasoncodes import ReasonCode

from models.process.mqtt_tls import MqttTls

__all__ = ["Client", "MqttRejected"]

_FIRST_FAILURE: Final = 0x80
"""Below it a reason code is a success (MQTT 5, 2.4): 0x10, no matching subscribers, is one."""

_ADVICE: Final = {
    0x84: "Use a broker of MQTT 5.",
    0x87: "Check the ACL of {}.",
    0x97: "Check the broker's limits for {}.",
    0x9F: "Check the broker's limits for {}.",
}
_CONNECT_ADVICE: Final = _ADVICE | dict.fromkeys((0x86, 0x87), "Check the name and password of {}.")
_OTHER_ADVICE: Final = "Check the broker's log for {}."

_T = TypeVar("_T")


class MqttRejected(MqttError):
    """The broker rejected a packet. The text names broker, packet, topic and reason code, and what to check."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class _Failure(Exception):
    """A negative PUBACK; becomes MqttRejected where the topic is known."""

    def __init__(self, reason: ReasonCode) -> None:
        super().__init__(reason)
        self.reason = reason


class Client(aiomqtt.Client):  # noqa: TID251 - the checked one
    """An MQTT 5 client that raises MqttRejected for a rejected connection, subscription or publication.

    It waits without a timeout of its own: aiomqtt's is asyncio.wait_for, which loses a cancellation that arrives
    together with the broker's answer (before Python 3.12: cpython issue 86296). Its callers use asyncio.timeout.
    """

    def __init__(self, hostname: str, port: int, *, user: str = "", tls: MqttTls | None = None, **options: Any) -> None:
        """`user`: how the broker's ACL names this client; by default `username`, or else the client id.

        `tls`: read here; raises ConfigError if that is impossible.
        """
        super().__init__(
            hostname,
            port,
            protocol=ProtocolVersion.V5,
            timeout=math.inf,
            tls_context=tls.context() if tls else None,
            # Nagle's algorithm would hold a publication back by 40 ms until the broker's delayed ACK
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            **options,
        )
        user = user or options.get("username") or ""
        self._broker = f"{hostname}:{port}"
        identifier = options.get("identifier")
        if tls and tls.cert:
            user = user or identifier or ""  # a certificate is issued to the client id
        self._who = f"user {user}" if user else f"client {identifier or 'without an id'}"
        self._tls_advice = " Check that the certificate is valid and not revoked." if tls else ""
        self._failures: dict[int, ReasonCode] = {}

    async def __aenter__(self) -> Self:
        try:
            return await super().__aenter__()
        except MqttConnectError as error:
            raise self._rejected("CONNECT", cast("ReasonCode", error.rc), _CONNECT_ADVICE) from None

    async def subscribe(self, topic: Any, *args: Any, **options: Any) -> list[ReasonCode]:
        """Subscribe to one filter, or to a list of (filter, QoS)."""
        reasons = cast("list[ReasonCode]", await super().subscribe(topic, *args, **options))
        filters = [topic] if isinstance(topic, str) else [name for name, _ in topic]
        rejected = [(name, reason) for name, reason in zip(filters, reasons, strict=True) if _is_failure(reason)]
        if rejected:
            names = ", ".join(name for name, _ in rejected)
            raise self._rejected(f"SUBSCRIBE to {names}", rejected[0][1])
        return reasons

    async def publish(self, topic: str, *args: Any, **options: Any) -> None:
        """Publish, and return after the PUBACK."""
        try:
            await super().publish(topic, *args, **options)
        except _Failure as failure:
            raise self._rejected(f"PUBLISH to {topic}", failure.reason) from None

    def _rejected(self, what: str, reason: ReasonCode, advices: Mapping[int, str] = _ADVICE) -> MqttRejected:
        code, name = reason.value, reason.getName().lower()
        advice = advices.get(code, _OTHER_ADVICE).format(self._who)
        return MqttRejected(f"MQTT broker {self._broker} rejected {what} ({code:#04x} {name}). {advice}", code)

    def _on_disconnect(self, *arguments: Any) -> None:
        """End a connection attempt that the broker closes without a CONNACK; aiomqtt would wait for one for ever.

        So a broker refuses a certificate in TLS 1.3, where the client's handshake ends before the broker's.
        """
        if not self._connected.done():
            text = f"MQTT broker {self._broker} closed the connection of {self._who} before its CONNACK."
            self._connected.set_exception(MqttError(text + self._tls_advice))
        elif not self._connected.cancelled():
            super()._on_disconnect(*arguments)

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: ReasonCode, properties: Any) -> None:
        """Keep the code of a negative PUBACK for `_pending_call`."""
        if _is_failure(reason_code) and mid in self._pending_publishes:
            self._failures[mid] = reason_code
        super()._on_publish(client, userdata, mid, reason_code, properties)

    @contextmanager
    def _pending_call(self, mid: int, value: _T, pending_dict: dict[int, _T]) -> Iterator[None]:
        """Wait for the answer to a packet. aiomqtt's own also counts all pending calls, at each call."""
        pending_dict[mid] = value
        try:
            yield
        finally:
            pending_dict.pop(mid, None)
            failure = self._failures.pop(mid, None)
        if failure:
            raise _Failure(failure)


def _is_failure(reason: ReasonCode) -> bool:
    return reason.value >= _FIRST_FAILURE
