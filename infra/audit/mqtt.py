"""Retained messages of the MQTT broker."""

import asyncio
import contextlib

from aiomqtt import Message, MqttError

from infra.audit.judgement import Tally, Where
from infra.audit.places import Unread
from models.contract.topics import Topics
from models.errors import MalformedMessage
from models.process.mqtt_client import Client, MqttRejected
from models.settings import Settings, host_and_port

__all__ = ["read_retained"]

_SILENCE_S = 1.5
"""Retained messages follow the subscription immediately; after a pause of this length there are no more."""


async def read_retained(settings: Settings, tally: Tally) -> None:
    """Read every retained message. Live messages are ignored."""
    client = Client(*host_and_port(settings.mqtt), tls=settings.mqtt_tls("audit"), clean_start=True)
    try:
        async with client:
            await client.subscribe("#", qos=0)
            await _take_all(client, settings.topics, tally)
    except MqttRejected as rejection:
        raise Unread(str(rejection)) from None
    except MqttError as error:
        raise Unread(f"no MQTT broker answers at {settings.mqtt} (FAIRROLL_MQTT): {error}") from None


async def _take_all(client: Client, topics: Topics, tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_SILENCE_S) as silence:
            async for message in client.messages:
                if message.retain:
                    silence.reschedule(loop.time() + _SILENCE_S)
                    _take(message, topics, tally)
    except TimeoutError:
        if not silence.expired():
            raise


def _take(message: Message, topics: Topics, tally: Tally) -> None:
    topic = str(message.topic)
    payload = message.payload if isinstance(message.payload, bytes) else b""
    tally.scan_name(Where(f"topic {topic}"), topic.encode())
    tally.scan(Where(topic), payload)
    if topics.is_mqtt(topic) and not _may_be_retained(topic, topics):
        tally.find("retained", topic, "a message that may not be retained", payload)


def _may_be_retained(topic: str, topics: Topics) -> bool:
    """Whether a topic may be retained: states of dispensers, controls of sites, the pipeline's id."""
    with contextlib.suppress(MalformedMessage):
        return topics.parse(topic).channel == "state"
    return topic in {topics.control(topic.split("/")[-2]), topics.mqtt_pipeline}
