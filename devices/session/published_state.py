"""The retained state of a dispenser on one connection."""

import asyncio
from contextlib import suppress

from aiomqtt import MqttError

from devices.session.mqtt_connection import MqttConnection
from models.contract.codec import encode
from models.contract.messages import DeviceState, Mode

__all__ = ["PublishedState"]

_FIRMWARE = "fairroll-0.1.0"
_OFFLINE_TIMEOUT_S = 2.0
"""Timeout of publishing the offline state at a stop."""


class PublishedState:
    """Numbers the states of a connection, and publishes one where the mode changed.

    Each sequence number is below that of the last will, which the broker publishes after all of them.
    """

    def __init__(self, model: str, first_sequence: int, will_sequence: int) -> None:
        """`model`: the id of the face model, empty without one."""
        self._model = model
        self._sequence, self._will_sequence = first_sequence, will_sequence
        self._published: Mode | None = None

    def will(self, mode: Mode) -> bytes:
        """The last will: what the broker publishes when the connection is lost."""
        return self._encoded(mode, self._will_sequence, online=False)

    async def publish(self, connection: MqttConnection, mode: Mode) -> None:
        """Publish the state if the mode changed since the last one. Raises MqttError or TimeoutError."""
        if self._published == mode:
            return
        self._published = mode
        await connection.retain("state", self._encoded(mode, self._next_sequence(), online=True))

    async def publish_offline(self, connection: MqttConnection, mode: Mode) -> None:
        """Publish the offline state: after a DISCONNECT the broker publishes no last will."""
        with suppress(MqttError, TimeoutError):
            async with asyncio.timeout(_OFFLINE_TIMEOUT_S):
                await connection.retain("state", self._encoded(mode, self._next_sequence(), online=False))

    def _encoded(self, mode: Mode, sequence: int, *, online: bool) -> bytes:
        return encode(DeviceState(online=online, sequence=sequence, firmware=_FIRMWARE, mode=mode, model=self._model))

    def _next_sequence(self) -> int:
        sequence = self._sequence
        self._sequence = min(sequence + 1, self._will_sequence - 1)
        return sequence
