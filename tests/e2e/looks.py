"""How these tests look into the running pipeline: every wait has an end."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition

from infra.local.stack import LocalStack
from models.settings import Settings

__all__ = ["Kept", "Talk", "dispenser", "eventually", "in_influx", "listen", "pressed", "records", "shown"]

T = TypeVar("T")
WITHIN_S = 20.0


class Kept(NamedTuple):
    """A record in Kafka."""

    partition: int
    offset: int
    at: int
    key: bytes
    value: bytes


async def records(settings: Settings, topic: str) -> list[Kept]:
    """All that a topic holds now, in the order of its partitions."""
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


async def eventually(look: Callable[[], Awaitable[T]], until: Callable[[T], bool]) -> T:
    """Look again until it is as expected, for a bounded time; what was seen last is for the test to judge."""
    deadline = asyncio.get_running_loop().time() + WITHIN_S
    while True:
        seen = await look()
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


class Talk:
    """A dispenser that consists of mosquitto's own command-line clients and nothing else."""

    def __init__(self, settings: Settings, site: str, device: str) -> None:
        host, _, port = settings.mqtt.rpartition(":")
        self._broker = ("-V", "mqttv5", "-h", host, "-p", port)
        self.topic = f"fairroll/v1/{site}/{device}"
        self._control = f"fairroll/v1/{site}/control"
        self.found: dict[str, Any] = {}
        """the control that was there when it came"""
        self._heard: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Subscribe; the retained control, which comes last of the subscription, says that it is done."""
        self._heard = await asyncio.create_subprocess_exec(
            *(
                "mosquitto_sub",
                *self._broker,
                "-q",
                "1",
                "-t",
                f"{self.topic}/command",
                "-t",
                self._control,
                "-F",
                "%p",
            ),
            stdout=asyncio.subprocess.PIPE,
        )
        self.found = await self.hear()

    async def stop(self) -> None:
        if self._heard and self._heard.returncode is None:
            self._heard.terminate()
            await self._heard.wait()

    async def send(self, channel: str, message: dict[str, Any] | bytes, *options: str) -> None:
        await self.publish(f"{self.topic}/{channel}", message, *options)

    async def publish(self, topic: str, message: dict[str, Any] | bytes, *options: str) -> None:
        """mosquitto_pub ends after the broker's acknowledgement; the payload goes through its standard input."""
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        client = await asyncio.create_subprocess_exec(
            *("mosquitto_pub", *self._broker, "-q", "1", "-t", topic, "-s", *options), stdin=subprocess.PIPE
        )
        await asyncio.wait_for(client.communicate(payload), WITHIN_S)
        assert client.returncode == 0

    async def hear(self) -> dict[str, Any]:
        """The next message."""
        assert self._heard
        assert self._heard.stdout
        line = await asyncio.wait_for(self._heard.stdout.readline(), WITHIN_S)
        heard = json.loads(line)
        assert isinstance(heard, dict)
        return heard

    async def ask(self, request: dict[str, Any], *options: str) -> dict[str, Any]:
        """The one answer to a request."""
        await self.send("request", request, *options)
        return await self.hear()


@asynccontextmanager
async def listen(pipeline: LocalStack, site: str, device: str) -> AsyncIterator[Talk]:
    """A dispenser on the network, that has seen its site's control."""
    talk = Talk(pipeline.settings, site, device)
    try:
        await talk.start()
        assert talk.found["site"] == site
        yield talk
    finally:
        await talk.stop()


async def dispenser(pipeline: LocalStack, *arguments: str, sign: str = "", presses: Sequence[str] = ()) -> list[str]:
    """What a run of the `dispenser` command prints, from the sign on, which it shows as soon as its camera is ready.

    Each press comes after the line that the one before brought.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "devices.cli", *arguments),
        env=os.environ | pipeline.settings.to_environ(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        told: list[str] = []
        while sign and sign not in told:
            told = [await shown(process)]
        told += [await pressed(process, press) for press in presses]
        rest, complained = await asyncio.wait_for(process.communicate(b""), 120)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, complained.decode()
    return [*told, *rest.decode().splitlines()]


async def pressed(process: asyncio.subprocess.Process, press: str) -> str:
    """What a dispenser shows after a press."""
    assert process.stdin
    process.stdin.write(f"{press}\n".encode())
    await process.stdin.drain()
    return await shown(process)


async def shown(process: asyncio.subprocess.Process) -> str:
    """The next line of a dispenser's display; "" at its end."""
    assert process.stdout
    return (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
