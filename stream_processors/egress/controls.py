"""Keeps the sites' controls retained on the MQTT broker: the newest of each site, and never an older one."""

import asyncio
import time
from collections.abc import Iterable
from typing import NoReturn

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from models.contract.site_records import Controls, site_of_key
from models.contract.topics import Topics
from models.errors import MalformedMessage
from stream_processors.egress.control_signer import ControlSigner
from stream_processors.egress.retained import Publication, Retained
from stream_processors.runtime.health import Health
from stream_processors.runtime.kafka import read_to_end
from stream_processors.runtime.mqtt import Session

__all__ = ["ControlKeeper"]

_COMPARE_EVERY_MS = 500
_AT_ONCE = 200
"""Most publications that wait for their PUBACK at the same time."""


class ControlKeeper:
    """Publishes what Kafka holds and the broker does not retain.

    Kafka is read to its present end before anything is published. So a lagging egress publishes no outdated control,
    and does not mistake a control that another egress published meanwhile for a fault.
    """

    def __init__(
        self, session: Session, consumer: AIOKafkaConsumer, topics: Topics, health: Health, signer: ControlSigner
    ) -> None:
        """`consumer` reads all controls from the beginning."""
        self._session, self._consumer, self._topics, self._health = session, consumer, topics, health
        self._controls, self._retained = Controls(), Retained()
        self._signer = signer

    async def watch(self) -> None:
        """Follow what the broker retains; raises MqttError when the broker is lost."""
        async for message in self._session.messages:
            self._retained.find(message.topic.split("/")[-2], message.payload)
            self._session.acknowledge(message)

    async def publish(self) -> NoReturn:
        """Follow Kafka, and publish what differs from it."""
        await self._session.subscribe(self._topics.control("+"))
        while True:
            batches = await self._consumer.getmany(timeout_ms=_COMPARE_EVERY_MS)
            self._take(record for batch in batches.values() for record in batch)
            if self._retained.due(time.monotonic()):
                self._take(await read_to_end(self._consumer, self._consumer.assignment()))
                await self._publish_all(self._retained.due(time.monotonic()))

    def _take(self, records: Iterable[ConsumerRecord]) -> None:
        for record in records:
            try:
                if site := self._controls.take(record.key, record.value, record.headers):
                    self._retained.want(site, self._signer.sign(self._topics.control(site), record.value or b""))
            except MalformedMessage as error:  # written by a newer decider; other sites continue
                self._health.count("unreadable")
                self._health.fault(f"unreadable control at {record.partition}/{record.offset}: {error}")
                self._leave(record)

    def _leave(self, record: ConsumerRecord) -> None:
        """Leave the site's topic unchanged: the controls that this egress can read may be outdated."""
        try:
            self._retained.want(site_of_key(record.key), None)
        except MalformedMessage:
            return

    async def _publish_all(self, publications: list[Publication]) -> None:
        for first in range(0, len(publications), _AT_ONCE):
            with self._health.at_work():
                await asyncio.gather(*map(self._publish, publications[first : first + _AT_ONCE]))

    async def _publish(self, publication: Publication) -> None:
        await self._session.publish(self._topics.control(publication.site), publication.payload, retain=True)
        self._retained.publish(publication, time.monotonic())
        self._health.count("controls")
        if publication.is_repair:
            self._health.count("repaired_controls")
            self._health.fault(f"the MQTT broker retained another control of {publication.site} than Kafka: replaced")
