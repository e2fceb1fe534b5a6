"""An ingress that was stopped reads what lay in its socket: its expiry counts from before the stop."""

import asyncio
import os
import signal

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from models.contract.codec import decode_dead_letter, encode
from models.contract.messages import ButtonPressed
from models.ledger.codec import decode_event
from models.ledger.events import Requested
from models.ledger.rules.policy import Sites, SiteSpec
from models.settings import Settings, host_and_port
from stream_processors.runtime.kafka import open_consumer, read_to_end
from tests.support.registry import register
from tests.support.services import Service, running

EXPIRY_S = 2
IN_TIME = "request-after-the-pause"
TOPIC = "fairroll/v1/paused/gate/request"


async def test_requests_that_expired_while_ingress_was_stopped_are_not_decided(brokers: Settings) -> None:
    await register(brokers, Sites(sites={"paused": SiteSpec(devices=("gate",))}))
    ingress = Service("ingress", brokers)
    host, port = host_and_port(brokers.mqtt)
    async with running(ingress), aiomqtt.Client(host, port, protocol=aiomqtt.ProtocolVersion.V5) as dispenser:
        await request(dispenser, "request-before-the-pause", EXPIRY_S)
        await ingress.until_count("kept", 1)
        os.kill(ingress.child.pid, signal.SIGSTOP)
        for number in range(5):  # mosquitto gives them to ingress's socket
            await request(dispenser, f"request-{number:010}", EXPIRY_S)
        await asyncio.sleep(EXPIRY_S + 1)
        os.kill(ingress.child.pid, signal.SIGCONT)
        await ingress.until_count("dead_letters", 5)
        await request(dispenser, IN_TIME, 60)
        await ingress.until_count("kept", 7)
    async with open_consumer(brokers, brokers.topics.events, brokers.topics.dead_letters, group=None) as consumer:
        records = await read_to_end(consumer, consumer.assignment())
    events = [decode_event(record.value) for record in records if record.topic == brokers.topics.events]
    asked = {event.request.id for event in events if isinstance(event, Requested) and event.site == "paused"}
    assert asked == {"request-before-the-pause", IN_TIME}
    letters = [decode_dead_letter(record.value) for record in records if record.topic == brokers.topics.dead_letters]
    late = [letter for letter in letters if letter.source == TOPIC]
    assert all(letter.reason.startswith("held beyond its expiry") for letter in late)


async def request(dispenser: aiomqtt.Client, identifier: str, expiry_s: int) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = expiry_s
    await dispenser.publish(TOPIC, encode(ButtonPressed(id=identifier)), qos=1, properties=properties)
