"""Single shots: reports that are sent once and never again. What the broker has acknowledged must reach Kafka."""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiomqtt import Client, MqttError, ProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from models.contract.codec import encode
from models.contract.messages import Stock
from models.contract.topics import Topics

__all__ = ["PROBE", "Probes"]

PROBE = "probe"
"""The dispenser of each site that the probes come from."""
_GAP_S = 0.04
_AGAIN_S = 0.2


class _Exact(Client):
    """Return whether the broker has the last publish for a subscriber.

    mosquitto 2.0 forgets shared subscriptions at a restart, and until ingress subscribes again it acknowledges with
    "no matching subscribers", which aiomqtt takes for success.
    """

    was_taken = False

    def _on_publish(
        self, client: Any, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        self.was_taken = reason_code.value == 0
        super()._on_publish(client, userdata, mid, reason_code, properties)


class Probes:
    """Publishes `stock` reports from each site in turn, numbered as the contract wants it, while `shots` is open."""

    def __init__(self, mqtt: str, topics: Topics, sites: list[str]) -> None:
        self.acknowledged: set[tuple[str, int]] = set()
        """site and number of each report that the broker has taken"""
        self._host, _, port = mqtt.rpartition(":")
        self._port = int(port)
        self._topics = topics
        self._numbers = dict.fromkeys(sites, 0)
        self._goes_on = False
        """beside the cancellation: Python 3.11's wait_for loses one that comes together with its result"""

    @asynccontextmanager
    async def shots(self) -> AsyncIterator[None]:
        self._goes_on = True
        shooting = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._goes_on = False
            shooting.cancel()
            await asyncio.gather(shooting, return_exceptions=True)

    async def _run(self) -> None:
        """Through outages of the broker; a report that it did not acknowledge is given up."""
        while self._goes_on:
            try:
                await self._shoot()
            except MqttError:
                await asyncio.sleep(_AGAIN_S)

    async def _shoot(self) -> None:
        options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        async with _Exact(
            self._host, self._port, identifier=PROBE, protocol=ProtocolVersion.V5, socket_options=options
        ) as client:
            for site in itertools.cycle(self._numbers):
                if not self._goes_on:
                    return
                self._numbers[site] += 1
                shot = (site, self._numbers[site])
                report = Stock(number=self._numbers[site], cm=0)
                await client.publish(self._topics.device(site, PROBE, "report"), encode(report), 1)
                if client.was_taken:
                    self.acknowledged.add(shot)
                await asyncio.sleep(_GAP_S)
