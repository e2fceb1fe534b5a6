"""What the MQTT broker retains, as an operator reads it."""

import asyncio

from models.process.mqtt_client import Client
from models.settings import Settings, host_and_port

__all__ = ["read_retained"]

_ANSWER_S = 10.0


async def read_retained(settings: Settings, topic_filter: str) -> dict[str, bytes]:
    """Return the retained messages of a filter, by topic.

    Raises MqttError, which MqttRejected is, and TimeoutError.
    """
    client = Client(*host_and_port(settings.mqtt), tls=settings.mqtt_tls("operator"), clean_start=True)
    async with asyncio.timeout(_ANSWER_S), client:
        await client.subscribe(topic_filter, qos=0)
        await client.unsubscribe(topic_filter)  # answered after what is retained was sent, which waits for no PUBACK
        messages = aiter(client.messages)
        found = [await anext(messages) for _ in range(len(client.messages))]
    return {str(message.topic): message.payload for message in found if isinstance(message.payload, bytes)}
