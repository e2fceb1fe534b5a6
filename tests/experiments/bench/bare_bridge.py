"""The bare bridges: MQTT to Kafka and back with aiomqtt and aiokafka alone; nothing is decoded, checked or counted."""

import asyncio
import os
import signal
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiomqtt import Client, ProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from models.settings import Settings, host_and_port

__all__ = ["BARE_IN", "BARE_OUT", "BARE_TOPICS"]

BARE_TOPICS = ("bare.events", "bare.decisions")
BARE_IN, BARE_OUT = "bare/+/report", "bare/command"
_TOGETHER = 200


async def to_kafka(settings: Settings) -> None:
    """MQTT is acknowledged before Kafka has it: a crash loses messages."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        async with _client(settings, "bare-in") as client:
            await client.subscribe(BARE_IN, 1)
            _ready()
            async for message in client.messages:
                await producer.send(BARE_TOPICS[0], message.payload, key=str(message.topic).encode())
    finally:
        await producer.stop()


async def from_kafka(settings: Settings) -> None:
    consumer = AIOKafkaConsumer(
        BARE_TOPICS[1],
        bootstrap_servers=settings.kafka,
        group_id="bare",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        async with _client(settings, "bare-out") as client:
            _ready()
            while True:
                batches = await consumer.getmany(timeout_ms=500, max_records=_TOGETHER)
                records = [record for batch in batches.values() for record in batch]
                await asyncio.gather(*(client.publish(BARE_OUT, record.value, 1) for record in records))
                if records:
                    await consumer.commit()
    finally:
        await consumer.stop()


def _client(settings: Settings, identifier: str) -> Client:
    host, port = host_and_port(settings.mqtt)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 60
    client = Client(
        host,
        port,
        identifier=identifier,
        protocol=ProtocolVersion.V5,
        clean_start=False,
        properties=properties,
    )
    client.pending_calls_threshold = 1_000
    return client


def _ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


async def _main() -> None:
    bridge = {"in": to_kafka, "out": from_kafka}[sys.argv[1]]
    task = asyncio.ensure_future(bridge(Settings.from_environ(os.environ)))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await asyncio.gather(task, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(_main())
