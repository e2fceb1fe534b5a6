"""Ingress: from MQTT to Kafka. A device's message is acknowledged once Kafka has it."""

import asyncio
import os
from typing import NamedTuple, assert_never

import structlog
from aiokafka import AIOKafkaProducer
from aiomqtt import Message

from models.codec import decode_report, decode_request, decode_state, encode
from models.dead_letters import DeadLetter
from models.errors import MalformedMessage
from models.events import Reported, Requested
from models.policy import Sites
from models.settings import Settings
from models.topics import DEAD_LETTERS, EVENTS, INGRESS_FILTERS, STATES, DeviceTopic
from stream_processors.kafka import open_producer
from stream_processors.mqtt import Session, open_session
from stream_processors.service import announce_ready, serve
from stream_processors.sites import read_sites

__all__ = ["Publication", "Record", "on_message", "run"]

log = structlog.get_logger()

_RECEIVE_MAXIMUM = 500
"""Messages that the broker may have under way to one instance: its bound on memory and its backpressure."""


class Publication(NamedTuple):
    """What came over MQTT."""

    topic: str
    payload: bytes
    patience_s: int | None = None
    """what is left of its expiry"""


class Record(NamedTuple):
    """What goes to Kafka."""

    topic: str
    key: str
    value: bytes


def on_message(publication: Publication, sites: Sites) -> Record:
    """Turn a device's message into an event, a state, or a dead letter with the reason."""
    topic, payload, patience_s = publication
    try:
        source = DeviceTopic.parse(topic)
        if not sites.knows(source.site, source.device):
            raise MalformedMessage(f"unknown site or device: {source.site}/{source.device}")
        return _record(source, payload, patience_s)
    except MalformedMessage as error:
        return Record(DEAD_LETTERS, topic[:200], encode(DeadLetter.of(topic, payload, str(error))))


def _record(source: DeviceTopic, payload: bytes, patience_s: int | None) -> Record:
    site, device = source.site, source.device
    match source.channel:
        case "request":
            request = decode_request(payload)
            event = Requested(site=site, device=device, request=request, patience_s=patience_s)
            return Record(EVENTS, site, encode(event))
        case "report":
            return Record(EVENTS, site, encode(Reported(site=site, device=device, report=decode_report(payload))))
        case "state":
            return Record(STATES, f"{site}/{device}", encode(decode_state(payload)))
        case "command":
            raise MalformedMessage("a device does not command")
        case unknown:
            assert_never(unknown)


def run(settings: Settings) -> None:
    """Serve until told to stop; several instances share the work."""
    sites = read_sites(settings.sites)
    serve(lambda: _carry(settings, sites))


async def _carry(settings: Settings, sites: Sites) -> None:
    async with (
        open_producer(settings) as producer,
        open_session(settings, f"ingress-{settings.instance}", _RECEIVE_MAXIMUM) as session,
    ):
        await session.subscribe(*(f"$share/ingress/{topic}" for topic in INGRESS_FILTERS))
        announce_ready(f"ingress {settings.instance} ({os.getpid()})")
        sent: asyncio.Queue[_Sent] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_acknowledge(session, sent), name="acknowledge")
            tasks.create_task(_forward(session, producer, sites, sent), name="forward")


class _Sent(NamedTuple):
    message: Message
    record: Record
    appended: asyncio.Future[object]


async def _forward(session: Session, producer: AIOKafkaProducer, sites: Sites, sent: "asyncio.Queue[_Sent]") -> None:
    async for message in session.messages:
        record = on_message(_publication(message), sites)
        appended = await producer.send(record.topic, record.value, record.key.encode())
        sent.put_nowait(_Sent(message, record, appended))


async def _acknowledge(session: Session, sent: "asyncio.Queue[_Sent]") -> None:
    """Acknowledge in the order of arrival; a failed append ends the session, and the broker sends again."""
    while True:
        message, record, appended = await sent.get()
        await appended
        session.acknowledge(message)
        if record.topic == DEAD_LETTERS:
            log.warning("dead letter", source=record.key)


def _publication(message: Message) -> Publication:
    payload = message.payload if isinstance(message.payload, bytes) else b""
    patience_s = getattr(message.properties, "MessageExpiryInterval", None)
    return Publication(str(message.topic), payload, patience_s)
