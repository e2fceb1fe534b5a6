"""Ingress and egress in messages/s, next to a bare bridge that does nothing else, in turns of one run.

Each turn drains what waited while the bridge was stopped: reports in its MQTT session, decisions in Kafka. The rate is
that of the arrivals at the other side, from the first to the last, so that no start counts. CPU time is that of the
bridge's process from when it is ready, and depends less on what else the machine does.

`python -m tests.experiments.bench.bridges [CHECKOUT...]` also measures the services of other checkouts.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from infra.local.ports import Ports
from infra.local.programs import BROKERS
from infra.local.stack import LocalStack
from infra.setup.provision import provision, provision_topics
from models.contract.codec import encode
from models.contract.messages import Dispense, Stock
from models.contract.topics import KafkaTopic
from models.ledger.outcomes import Answered
from models.ledger.rules.policy import Sites, SiteSpec
from models.process.mqtt_client import Client
from models.settings import Settings, host_and_port
from stream_processors.runtime.kafka import open_consumer, open_producer, read_to_end
from tests.experiments.bench.bare_bridge import BARE_OUT, BARE_TOPICS
from tests.experiments.bench.parts import Part, Row
from tests.experiments.bench.report import table
from tests.support.processes import beside, broker_of, environ_of
from tests.support.registry import register

__all__ = ["bridges"]

_MESSAGES, _TURNS = 8_000, 3
_DEVICES = [f"d{number}" for number in range(40)]
_SITES = [f"bench-{number}" for number in range(8)]
_SITE = '[sites.{}]\nmode = "button"\ndevices = {}\n'
_APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}
_UNLIMITED = "1000000"
_WITHIN_S = 120.0

_numbers = count(1)


class Turn(NamedTuple):
    """One drain."""

    per_s: float
    cpu_us: float
    """CPU time a message"""


class Bridge(NamedTuple):
    """A program that carries messages one way."""

    name: str
    command: tuple[str, ...]
    tree: Path | None = None
    """the checkout that it runs from; None: this one"""
    is_bare: bool = False


async def bridges(folder: Path, turns: int, trees: tuple[Path, ...] = ()) -> list[Part]:
    """Run everything in `folder` and compare."""
    sites = folder / "sites.toml"
    sites.write_text("".join(_SITE.format(site, _DEVICES).replace("'", '"') for site in _SITES))
    environ = {"FAIRROLL_SITES": str(sites), "FAIRROLL_DEVICE_REPORTS_PER_S": _UNLIMITED}
    parts = []
    async with LocalStack(folder, programs=BROKERS, ports=Ports.free(), environ=environ) as stack:
        settings = stack.settings
        await provision(settings)
        await register(settings, Sites(sites={site: SiteSpec(devices=tuple(_DEVICES)) for site in _SITES}))
        await provision_topics(
            settings, tuple(KafkaTopic(name, settings.partitions, _APPEND_TIME) for name in BARE_TOPICS)
        )
        for name, bare, measure in (("ingress", "in", _into_kafka), ("egress", "out", _out_of_kafka)):
            compared = [
                Bridge("this", (sys.executable, "-m", "infra.cli", name)),
                Bridge("bare", (sys.executable, "-m", "tests.experiments.bench.bare_bridge", bare), is_bare=True),
                *(Bridge(tree.name, (sys.executable, "-m", "infra.cli", name), tree) for tree in trees),
            ]
            found: dict[str, list[Turn]] = {bridge.name: [] for bridge in compared}
            for _ in range(turns):
                for bridge in compared:
                    found[bridge.name].append(await measure(settings, bridge))
            rates = tuple(Row(kind, tuple(turn.per_s for turn in some)) for kind, some in found.items())
            cpu_us = tuple(Row(kind, tuple(turn.cpu_us for turn in some)) for kind, some in found.items())
            parts.append(
                Part(name, f"{_MESSAGES:,} messages that waited, next to a bridge", "messages/s", rates, "bare")
            )
            parts.append(Part(f"{name} CPU", "CPU time of a message", "us", cpu_us, "bare"))
    return parts


async def _into_kafka(settings: Settings, bridge: Bridge) -> Turn:
    async with _running(settings, bridge):
        """Its session begins."""
    topic = BARE_TOPICS[0] if bridge.is_bare else settings.topics.events
    host, port = host_and_port(settings.mqtt)
    async with Client(host, port) as client:
        for _ in range(0, _MESSAGES, 200):
            await asyncio.gather(*(client.publish(*_report(settings, bridge), qos=1) for _ in range(200)))
    async with open_consumer(settings, topic, group=None) as consumer:
        await read_to_end(consumer, consumer.assignment())
        async with _running(settings, bridge) as used_s, asyncio.timeout(_WITHIN_S):
            records = await read_to_end(consumer, consumer.assignment())
            while len(records) < _MESSAGES:
                await asyncio.sleep(0.2)
                records += await read_to_end(consumer, consumer.assignment())
            cpu_s = used_s()
    times: list[int] = [record.timestamp for record in records]
    return Turn(1_000 * (len(times) - 1) / (max(times) - min(times)), 1e6 * cpu_s / len(times))


def _report(settings: Settings, bridge: Bridge) -> tuple[str, bytes]:
    number = next(_numbers)
    payload = encode(Stock(number=number, cm=9))
    device = _DEVICES[number % len(_DEVICES)]
    if bridge.is_bare:
        return f"bare/{device}/report", payload
    return settings.topics.device(_SITES[number % len(_SITES)], device, "report"), payload


async def _out_of_kafka(settings: Settings, bridge: Bridge) -> Turn:
    topic = BARE_TOPICS[1] if bridge.is_bare else settings.topics.decisions
    at = time.time_ns() // 1_000_000
    async with open_producer(settings) as producer:
        for _ in range(_MESSAGES):
            number = next(_numbers)
            site = _SITES[number % len(_SITES)]
            command = Dispense(request=f"request-{number:010}", cm=60)
            outcome = Answered(site=site, device="d1", offset=number, at=at, by="button", command=command)
            value = encode(command) if bridge.is_bare else encode(outcome)
            await producer.send(topic, value, key=site.encode())
    filters = BARE_OUT if bridge.is_bare else settings.topics.device("+", "+", "command")
    listening = ("mosquitto_sub", *broker_of(settings), "-q", "1", "-t", filters, "-F", "%U", "-C", str(_MESSAGES))
    async with beside(*listening) as listener, _running(settings, bridge) as used_s:
        out, _ = await asyncio.wait_for(listener.communicate(), _WITHIN_S)
        cpu_s = used_s()
    times = [float(line) for line in out.split()]
    return Turn((len(times) - 1) / (times[-1] - times[0]), 1e6 * cpu_s / len(times))


@asynccontextmanager
async def _running(settings: Settings, bridge: Bridge) -> AsyncIterator[Callable[[], float]]:
    """Yields how many CPU seconds it has used since it was ready."""
    async with AsyncExitStack() as running:
        process = await running.enter_async_context(beside(*bridge.command, env=environ_of(settings), cwd=bridge.tree))
        assert process.stdout
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        assert line.startswith(b"ready"), line
        before = _cpu_s(process.pid)
        yield lambda: _cpu_s(process.pid) - before


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="fairroll-bench-") as place:
        for part in asyncio.run(bridges(Path(place), _TURNS, tuple(Path(tree) for tree in sys.argv[1:]))):
            Console().print(table(part))
