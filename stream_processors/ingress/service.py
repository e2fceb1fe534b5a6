"""Ingress: from MQTT to Kafka. A device's message is acknowledged once Kafka has it."""

import asyncio
import os
import time
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from typing import assert_never

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError

from models.contract.codec import decode_report, decode_request, decode_state, encode, report_number
from models.contract.dead_letters import DeadLetter
from models.contract.face_models import is_synthetic
from models.contract.messages import LONGEST_REASON, FaceSeen, ForgetRequested, Request
from models.contract.states import state_key
from models.contract.topics import DeviceTopic, Topics
from models.errors import MalformedMessage
from models.ledger.events import Reported, Requested, UnreadableReport
from models.ledger.rules.policy import Sites
from models.settings import Settings
from stream_processors.ingress.admission import Admission, Turn
from stream_processors.ingress.rate_limit import RateLimits
from stream_processors.ingress.records import Publication, Record
from stream_processors.ingress.site_follower import SiteFollower
from stream_processors.ingress.state_order import keep_states
from stream_processors.ingress.template_sealing import NoKey, Seals
from stream_processors.ingress.withdrawal import Withdrawals
from stream_processors.runtime.health import Health
from stream_processors.runtime.kafka import kafka_answers, open_consumer, open_producer
from stream_processors.runtime.key_client import open_keys
from stream_processors.runtime.mqtt import Received, Session, open_session, read_retained
from stream_processors.runtime.pipeline_identity import check_kafka, check_retained, own_id
from stream_processors.runtime.service import announce_ready, drain, serve

__all__ = ["Publication", "Record", "on_message", "run", "sender"]

log = structlog.get_logger()

_RECEIVE_MAXIMUM = 500
"""Messages that the broker may have under way to one instance, and that may be under way from it to Kafka.

Bound of messages in memory while Kafka is unreachable. After a reconnect mosquitto sends its whole queue; what is not
in flight to Kafka then waits in the session's queue, whose bound `open_session` explains.
"""


def on_message(publication: Publication, topics: Topics, sites: Sites, seals: Seals) -> tuple[Record, ...]:
    """Turn a device's message into an event, a state, or a dead letter with the reason. Raises NoKey.

    A report that cannot be read is an event too if its number can be: its dispenser would repeat it for ever.
    """
    source: DeviceTopic | None = None
    try:
        if removed := _cleared_state(publication, topics):
            return (removed,)
        source = sender(publication.topic, topics, sites)
        return (_record(source, publication, topics, sites, seals),)
    except MalformedMessage as error:
        letter = DeadLetter.of(publication.topic, publication.payload, str(error), topics)
        unread = Record(topics.dead_letters, publication.topic[:200], encode(letter))
        return (unread, *_unreadable_report(source, publication.payload, letter.reason, topics))


def _cleared_state(publication: Publication, topics: Topics) -> Record | None:
    """Return the tombstone of a dispenser's cleared state; the dispenser need not be configured any more.

    A cleared state has no sequence number: of a state that is published at the same moment, the one that Kafka gets
    last counts.
    """
    source = topics.parse(publication.topic)
    if source.channel != "state" or publication.payload:
        return None
    return Record(topics.states, state_key(source.site, source.device), b"")


def _unreadable_report(source: DeviceTopic | None, payload: bytes, reason: str, topics: Topics) -> tuple[Record, ...]:
    """Return the event that acknowledges an unreadable report, if it has a number."""
    if source is None or source.channel != "report" or (number := report_number(payload)) is None:
        return ()
    report = UnreadableReport(number=number, reason=reason[:LONGEST_REASON])
    event = Reported(site=source.site, device=source.device, report=report)
    return (Record(topics.events, source.site, encode(event)),)


def sender(topic: str, topics: Topics, sites: Sites) -> DeviceTopic:
    """Return the dispenser of a topic; raises MalformedMessage if it is not served."""
    source = topics.parse(topic)
    if not sites.knows(source.site, source.device):
        raise MalformedMessage(f"unknown site or device: {source.site}/{source.device}")
    return source


def _record(source: DeviceTopic, publication: Publication, topics: Topics, sites: Sites, seals: Seals) -> Record:
    site, device, payload = source.site, source.device, publication.payload
    match source.channel:
        case "request":
            asked = decode_request(payload)
            if sites.sites[site].simulated:
                _refuse_people(asked)
            request, sealed = seals.take(site, device, asked)
            patience_s = _patience_s(publication)
            event = Requested(site=site, device=device, request=request, patience_s=patience_s, sealed=sealed)
            return Record(topics.events, site, encode(event))
        case "report":
            reported = Reported(site=site, device=device, report=decode_report(payload))
            return Record(topics.events, site, encode(reported))
        case "state":
            return Record(topics.states, state_key(site, device), encode(decode_state(payload)))
        case "command":
            raise MalformedMessage("a device does not command")
        case unknown:
            assert_never(unknown)


def _refuse_people(request: Request) -> None:
    """Refuse real faces at a simulated site, whose templates may be archived."""
    if isinstance(request, FaceSeen | ForgetRequested) and not is_synthetic(request.model):
        raise MalformedMessage("a real face at a simulated site")


def _patience_s(publication: Publication) -> int | None:
    """Return the remaining patience of a request; without any it is a dead letter."""
    expiry_s, held_s = publication.expiry_s, publication.held_s
    if expiry_s is None:
        return None
    if held_s >= expiry_s:
        raise MalformedMessage(f"held beyond its expiry: for {held_s:.1f} s of {expiry_s} s")
    return expiry_s - int(held_s)


def run(settings: Settings) -> None:
    """Serve until stopped; several instances share the work."""
    health = Health("ingress", settings.instance, counts=("sent", "kept", "dead_letters", "reordered", "limited"))
    serve(lambda: _carry(settings, health), health, settings)


async def _carry(settings: Settings, health: Health) -> None:
    """On a stop, read no more and acknowledge what is in flight to Kafka; the broker keeps the rest."""
    topics, session_name = settings.topics, f"ingress-{settings.instance}"
    recorded = await check_kafka(settings, own_id(settings))
    retained = await read_retained(settings, session_name, topics.mqtt_pipeline)
    check_retained(settings, retained, recorded)
    async with (
        open_producer(settings) as producer,
        open_consumer(settings, topics.sites, topics.controls, group=None) as registered,
        open_consumer(settings, topics.states, group=None) as states,
        open_keys(settings, "ingress", health) as keys,
        open_session(settings, session_name, _RECEIVE_MAXIMUM) as session,
        asyncio.TaskGroup() as tasks,
    ):
        seals, withdrawals = Seals(keys), Withdrawals(session, health)
        follower = SiteFollower(registered, topics, seals, health)
        await follower.read()
        tasks.create_task(follower.follow(), name="sites")
        tasks.create_task(withdrawals.run(), name="withdrawals")
        tasks.create_task(keep_states(states, producer, topics, follower, withdrawals, health), name="states")
        await session.subscribe(*topics.ingress_subscriptions)
        announce_ready(f"ingress {settings.instance} ({os.getpid()})")
        in_flight = _InFlight()
        tasks.create_task(health.watch(kafka=partial(kafka_answers, producer)), name="health")
        acknowledging = tasks.create_task(
            _acknowledge(session, in_flight, topics.dead_letters, health), name="acknowledge"
        )
        turn = partial(_turn, topics=topics, follower=follower, seals=seals, withdrawals=withdrawals)
        admission = Admission(turn, RateLimits(settings.device_rates), follower, topics, health)
        tasks.create_task(admission.run(partial(_append, producer)), name="admission")
        try:
            await _forward(session, producer, admission.turn, in_flight, health)
        except asyncio.CancelledError:
            await drain(in_flight.batches.join(), acknowledging)
            raise


async def _turn(
    publication: Publication, topics: Topics, follower: SiteFollower, seals: Seals, withdrawals: Withdrawals
) -> tuple[Record, ...]:
    with suppress(MalformedMessage):
        source = topics.parse(publication.topic)
        await follower.catch_up_for(source.site, source.device)
        await seals.fetch_for(source.site)
        if source.channel == "state" and publication.payload and follower.is_stray(source.site, source.device):
            withdrawals.add(publication.topic)  # a will comes after the removal, when the dispenser is unplugged
    return on_message(publication, topics, follower.sites, seals)


class _Sent:
    """Messages that came together, and what waits until Kafka has their records."""

    def __init__(self) -> None:
        self.messages: list[Received] = []
        self.kept = 0
        """messages with records: the others are above a rate, or left for their dispensers to repeat"""
        self.records: list[Record] = []
        self.appended: list[Awaitable[object]] = []

    def add(self, message: Received, records: tuple[Record, ...], appended: list[Awaitable[object]]) -> None:
        self.messages.append(message)
        self.kept += bool(records)
        self.records += records
        self.appended += appended


class _InFlight:
    """What was given to Kafka and is not acknowledged to the broker, in order; at most `_RECEIVE_MAXIMUM` messages."""

    def __init__(self) -> None:
        self.batches: asyncio.Queue[_Sent] = asyncio.Queue()
        self.room = asyncio.Semaphore(_RECEIVE_MAXIMUM)


async def _forward(
    session: Session, producer: AIOKafkaProducer, turn: Turn, in_flight: _InFlight, health: Health
) -> None:
    """Send what has come, together: Kafka gets it in as few requests as it can, and nothing waits for more to come."""
    async for messages in session.batches():
        sent = _Sent()
        try:
            for message in messages:
                await in_flight.room.acquire()
                with health.at_work():
                    sent.add(message, *await _send(producer, turn, message, health))
        finally:  # a stop acknowledges what was given to Kafka
            in_flight.batches.put_nowait(sent)


async def _send(
    producer: AIOKafkaProducer, turn: Turn, message: Received, health: Health
) -> tuple[tuple[Record, ...], list[Awaitable[object]]]:
    """Give it to the producer, however long that takes: the broker keeps what comes meanwhile."""
    while True:
        publication = Publication(message.topic, message.payload, message.expiry_s, time.monotonic() - message.at)
        try:
            records = await turn(publication)
            appended = [await _append(producer, record) for record in records]
        except KafkaTimeoutError:
            health.fault("kafka takes nothing")
        except NoKey as error:
            health.fault(str(error))
            health.count("left")
            return (), []
        else:
            health.count("sent", bool(records))
            return records, appended


async def _append(producer: AIOKafkaProducer, record: Record) -> Awaitable[object]:
    """Give a record to the producer; what it returns waits until Kafka has it."""
    return await producer.send(record.topic, record.value or None, record.key.encode())  # type: ignore[no-any-return]  # untyped


async def _acknowledge(session: Session, in_flight: _InFlight, dead_letters: str, health: Health) -> None:
    """Acknowledge in the order of arrival; a failed append ends the session, and the broker sends again."""
    while True:
        sent = await in_flight.batches.get()
        with health.at_work():
            await asyncio.gather(*sent.appended)
        for message in sent.messages:
            session.acknowledge(message)
            in_flight.room.release()
        health.count("kept", sent.kept)
        for letter in (record for record in sent.records if record.topic == dead_letters):
            health.count("dead_letters")
            log.warning("dead letter", source=letter.key)
        in_flight.batches.task_done()
