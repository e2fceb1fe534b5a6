"""Clients of a running pipeline, for tests: read what it stored, or act as a dispenser. Every wait has a timeout."""

import asyncio
import json
from asyncio import StreamReader
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition

from infra.local.stack import LocalStack
from models.settings import Settings
from tests.support.processes import beside, broker_of

__all__ = ["Kept", "MosquittoDispenser", "eventually", "in_influx", "listen", "records"]

T = TypeVar("T")
WITHIN_S = 120.0


class Kept(NamedTuple):
    """A record in Kafka."""

    partition: int
    offset: int
    at: int
    key: bytes
    value: bytes


async def records(settings: Settings, topic: str) -> list[Kept]:
    """All records of a topic, in the order of partitions and offsets."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, enable_auto_commit=False)
    await consumer.start()
    try:
        count = 1 if topic == settings.topics.dead_letters else settings.partitions
        partitions = [TopicPartition(topic, number) for number in range(count)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[Kept] = []
        async with asyncio.timeout(WITHIN_S):
            while any([await consumer.position(partition) < end for partition, end in ends.items()]):
                for partition, batch in (await consumer.getmany(timeout_ms=200)).items():
                    found += [Kept(partition.partition, r.offset, r.timestamp, r.key or b"", r.value) for r in batch]
    finally:
        await consumer.stop()
    return sorted(found)


async def eventually(read: Callable[[], Awaitable[T]], until: Callable[[T], bool]) -> T:
    """Read again until the result is as expected, or the time is up; return the last result."""
    deadline = asyncio.get_running_loop().time() + WITHIN_S
    while True:
        seen = await read()
        if until(seen) or asyncio.get_running_loop().time() > deadline:
            return seen
        await asyncio.sleep(0.3)


async def in_influx(settings: Settings, statement: str) -> list[dict[str, Any]]:
    """The rows of an InfluxQL statement."""
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.get(
            f"{settings.influx_url}/query",
            params={"db": settings.influx_bucket, "q": statement},
            headers={"Authorization": f"Token {settings.influx_token}"},
        ) as response,
    ):
        [result] = (await response.json())["results"]
    return [dict(zip(s["columns"], row, strict=True)) for s in result.get("series", []) for row in s["values"]]


class MosquittoDispenser:
    """A dispenser that consists of the command-line clients of mosquitto."""

    def __init__(self, settings: Settings, site: str, device: str, received: StreamReader | None = None) -> None:
        """`received`: the messages of its subscription, one a line; without it the dispenser only publishes."""
        self._broker = broker_of(settings)
        self.topic = settings.topics.device(site, device, "request").removesuffix("/request")
        self.found: dict[str, Any] = {}
        """the retained control of its site"""
        self._received = received

    async def send(self, channel: str, message: dict[str, Any] | bytes, *options: str) -> None:
        await self.publish(f"{self.topic}/{channel}", message, *options)

    async def publish(self, topic: str, message: dict[str, Any] | bytes, *options: str) -> None:
        """Publish with mosquitto_pub, which ends after the PUBACK; the payload is its standard input."""
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        command = ("mosquitto_pub", *self._broker, "-q", "1", "-t", topic, "-s", *options)
        async with beside(*command, stdin=PIPE) as client:
            await asyncio.wait_for(client.communicate(payload), WITHIN_S)
            assert client.returncode == 0

    async def receive(self) -> dict[str, Any]:
        """The next message."""
        assert self._received
        line = await asyncio.wait_for(self._received.readline(), WITHIN_S)
        received = json.loads(line)
        assert isinstance(received, dict)
        return received

    async def ask(self, request: dict[str, Any], *options: str) -> dict[str, Any]:
        """The one answer to a request."""
        await self.send("request", request, *options)
        return await self.receive()


@asynccontextmanager
async def listen(pipeline: LocalStack, site: str, device: str) -> AsyncIterator[MosquittoDispenser]:
    """A connected dispenser that has received the retained control of its site."""
    topics = pipeline.settings.topics
    filters = ("-t", topics.device(site, device, "command"), "-t", topics.control(site))
    async with beside("mosquitto_sub", *broker_of(pipeline.settings), "-q", "1", *filters, "-F", "%p") as received:
        assert received.stdout
        talk = MosquittoDispenser(pipeline.settings, site, device, received.stdout)
        talk.found = await talk.receive()
        assert talk.found["site"] == site
        yield talk
