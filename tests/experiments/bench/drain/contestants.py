"""Deciders in turns of one run: each gets a namespace of its own with the same events, decides them, commits and ends.

Its rate is that of the outcomes between a fifth and 19 twentieths of them, by the times that they have in Kafka.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from msgspec import structs

from infra.kafka_records import read_records
from infra.local.ports import Ports
from infra.local.stack import LocalStack
from infra.setup.provision import provision
from models.contract.codec import encode
from models.ledger.events import Event
from models.settings import Settings
from stream_processors.runtime.kafka import open_admin, open_consumer, open_producer
from tests.support.processes import beside, environ_of

__all__ = ["Contestant", "cpu_s", "decider", "measure", "process", "ready"]

_READY_S, _DRAIN_S = 60.0, 300.0
_POLL_S = 0.25


@dataclass
class Contestant:
    """A command that decides what is in its namespace, and what was measured of it in each turn."""

    name: str
    command: tuple[str, ...]
    tree: Path | None = None
    workers: int = 1
    rates: list[float] = field(default_factory=list)
    """events a second"""
    cpu_s: list[float] = field(default_factory=list)
    """seconds a million events, of all its processes since they were ready"""


def decider(name: str, *, tree: Path | None = None, workers: int = 1) -> Contestant:
    """The decider of this tree, or of another."""
    return Contestant(name, (sys.executable, "-m", "infra.cli", "decider"), tree, workers)


def process(name: str) -> Contestant:
    """A module of this folder."""
    return Contestant(name, (sys.executable, "-m", f"{__package__}.{name}"))


async def measure(
    folder: Path, contestants: Sequence[Contestant], sites: str, events: Sequence[Event], turns: int
) -> None:
    """Add a rate to each contestant in each turn; every second turn goes through them backwards."""
    (folder / "sites.toml").write_text(sites)
    environ = {"FAIRROLL_SITES": str(folder / "sites.toml")}
    encoded = [(getattr(event, "site", ""), encode(event)) for event in events]
    async with LocalStack(folder, programs=("kafka",), ports=Ports.free(), environ=environ) as stack:
        for turn in range(turns):
            for one in contestants[:: -1 if turn % 2 else 1]:
                name = f"{one.name}-{turn}"
                settings = structs.replace(stack.settings, namespace=name, data=folder / name)
                await provision(settings)
                await _append(settings, encoded)
                await _turn(one, settings, len(encoded))


@asynccontextmanager
async def ready(command: Sequence[str], settings: Settings, tree: Path | None = None) -> AsyncIterator[Process]:
    """Run a worker; it is ready in the block, and has ended after it."""
    async with beside(*command, env=environ_of(settings, PYTHONUNBUFFERED="1"), cwd=tree) as worker:
        assert worker.stdout
        async with asyncio.timeout(_READY_S):
            while not (await worker.stdout.readline()).startswith(b"ready"):
                assert worker.returncode is None, command
        yield worker
        worker.send_signal(signal.SIGTERM)
        await worker.wait()


def cpu_s(worker: Process) -> float:
    """CPU seconds of a running process, by proc(5)."""
    fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _append(settings: Settings, events: Sequence[tuple[str, bytes]]) -> None:
    async with open_producer(settings) as producer:
        for site, event in events:
            await producer.send(settings.topics.events, event, key=site.encode())
        await producer.flush()


async def _turn(one: Contestant, settings: Settings, events: int) -> None:
    ends = await _ends(settings)
    async with open_admin(settings) as admin, AsyncExitStack() as running:
        starting = [
            ready(one.command, structs.replace(settings, data=settings.data / str(number)), one.tree)
            for number in range(one.workers)
        ]
        workers = await asyncio.gather(*(running.enter_async_context(worker) for worker in starting))
        started_s = sum(map(cpu_s, workers))
        async with asyncio.timeout(_DRAIN_S):
            while not await _are_committed(admin, settings.topics.decider_group, ends):
                assert all(worker.returncode is None for worker in workers), one.name
                await asyncio.sleep(_POLL_S)
        one.cpu_s.append(1e6 / events * (sum(map(cpu_s, workers)) - started_s))
    times = [record.timestamp for record in await read_records(settings, settings.topics.decisions)]
    low, high = len(times) // 5, 19 * len(times) // 20
    one.rates.append(1000 * (high - low) / max(1, times[high] - times[low]))


async def _are_committed(admin: AIOKafkaAdminClient, group: str, ends: Mapping[TopicPartition, int]) -> bool:
    try:
        committed = await admin.list_consumer_group_offsets(group)
    except GroupCoordinatorNotAvailableError:  # the first group of a broker
        return False
    return all(tp in committed and committed[tp].offset >= end for tp, end in ends.items() if end)


async def _ends(settings: Settings) -> dict[TopicPartition, int]:
    async with open_consumer(settings, group=None) as consumer:
        partitions = [TopicPartition(settings.topics.events, number) for number in range(settings.partitions)]
        return await consumer.end_offsets(partitions)  # type: ignore[no-any-return]  # untyped
