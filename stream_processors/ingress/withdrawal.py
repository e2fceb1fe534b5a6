"""Withdraws the retained states of dispensers that are not served: removed ones, and such as never were."""

import asyncio
from typing import NoReturn

from stream_processors.runtime.health import Health
from stream_processors.runtime.mqtt import Session

__all__ = ["Withdrawals"]

_PERIOD_S = 0.25
"""Below the rate at which ingress admits unknown senders (`rate_limit`): a cleared state comes back as one of those."""


class Withdrawals:
    """Topics of states that are to be cleared on the MQTT broker.

    The broker hands a cleared state to ingress too, which then removes what Kafka holds of it.
    """

    def __init__(self, session: Session, health: Health) -> None:
        self._session, self._health = session, health
        self._waiting: set[str] = set()
        self._any = asyncio.Event()

    def add(self, topic: str) -> None:
        """Clear a topic soon; one that waits already is cleared once."""
        self._waiting.add(topic)
        self._any.set()

    async def run(self) -> NoReturn:
        """Raises MqttError when the broker is lost."""
        while True:
            await self._any.wait()
            self._any.clear()
            while self._waiting:
                await self._session.publish(self._waiting.pop(), b"", retain=True)
                self._health.count("withdrawn_states")
                await asyncio.sleep(_PERIOD_S)
