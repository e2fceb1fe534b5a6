"""What a session keeps in memory; a service runs for months."""

import asyncio
import gc

from paho.mqtt.properties import Properties

from models.settings import Settings
from stream_processors.runtime.mqtt import Session, open_session

FEW = 50
AT_ONCE = 100


async def test_a_session_keeps_nothing_of_what_it_published_and_acknowledged(brokers: Settings) -> None:
    async with open_session(brokers, "through", AT_ONCE) as session:
        await session.subscribe("through")
        await _carry(session, 500)
        after_some = _objects()
        await _carry(session, 5_000)
        assert _objects() - after_some < FEW


async def test_a_message_that_waits_to_be_read_does_not_keep_its_properties(brokers: Settings) -> None:
    async with open_session(brokers, "reader", 2 * AT_ONCE) as reader, open_session(brokers, "writer", 10) as writer:
        await reader.subscribe("waiting")
        await _publish(writer, "waiting", 2 * AT_ONCE)
        await reader.publish("behind", b"them")  # its PUBACK comes behind what waits
        first = await asyncio.wait_for(anext(reader.messages), 10)
        gc.collect()
        assert first.expiry_s is not None
        assert sum(isinstance(item, Properties) for item in gc.get_objects()) < FEW


async def _carry(session: Session, number: int) -> None:
    """Through the broker and back, each acknowledged."""
    for _ in range(0, number, AT_ONCE):
        await _publish(session, "through", AT_ONCE)
        messages = session.messages
        for _ in range(AT_ONCE):
            session.acknowledge(await asyncio.wait_for(anext(messages), 10))
    await session.publish("behind", b"them")  # the acknowledgements have been written by then


async def _publish(session: Session, topic: str, number: int) -> None:
    await asyncio.gather(*(session.publish(topic, b"paper", expiry_s=60) for _ in range(number)))


def _objects() -> int:
    gc.collect()
    return len(gc.get_objects())
