"""The floor: the same two MQTT and two Kafka hops as a request takes, with nothing between; a process for each."""

import asyncio
import os
import sys

import uvloop

from models.settings import Settings
from stream_processors.runtime.kafka import open_consumer, open_producer
from stream_processors.runtime.mqtt import open_session

__all__ = ["ANSWERS", "QUESTIONS", "TOPICS"]

QUESTIONS, ANSWERS = "floor/request", "floor/command"
TOPICS = ("floor.events", "floor.decisions")


async def to_kafka(settings: Settings) -> None:
    async with open_session(settings, "floor-in", 500) as session, open_producer(settings) as producer:
        await session.subscribe(QUESTIONS)
        _ready()
        async for message in session.messages:
            await producer.send_and_wait(TOPICS[0], message.payload, key=b"floor")
            session.acknowledge(message)


async def through_kafka(settings: Settings) -> None:
    async with open_consumer(settings, TOPICS[0], group=None) as consumer, open_producer(settings) as producer:
        _ready()
        async for record in consumer:
            await producer.send(TOPICS[1], record.value, key=record.key)


async def from_kafka(settings: Settings) -> None:
    async with (
        open_session(settings, "floor-out", 10) as session,
        open_consumer(settings, TOPICS[1], group=None) as consumer,
    ):
        _ready()
        async for record in consumer:
            await session.publish(ANSWERS, record.value)


def _ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


if __name__ == "__main__":
    hop = {"in": to_kafka, "through": through_kafka, "out": from_kafka}[sys.argv[1]]
    try:
        uvloop.run(hop(Settings.from_environ(os.environ)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit()
