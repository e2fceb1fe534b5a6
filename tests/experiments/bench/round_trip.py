"""From publish to command, through the whole pipeline and through the floor, in turns of one run."""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import quantiles

import numpy as np
from aiomqtt import Client, ProtocolVersion
from msgspec import json

from devices.session.session import new_id
from devices.simulation.synthetic_faces import SYNTHETIC, SyntheticFace
from infra.local.ports import Ports
from infra.local.stack import LocalStack
from infra.setup.provision import provision_topics
from models.contract.codec import encode
from models.contract.messages import FaceSeen
from models.contract.topics import KafkaTopic, Topics
from models.face.protection import Protector
from models.settings import Settings
from tests.experiments.bench import floor
from tests.experiments.bench.parts import Part, Row
from tests.support.processes import beside, environ_of

__all__ = ["latency"]

_WARM_UP_S = 5.0
_DEVICES = [f"d{number}" for number in range(40)]
_SITES = f"""
[sites.bench]
mode = "face"
simulated = true
devices = {str(_DEVICES).replace("'", '"')}
"""


async def latency(
    folder: Path, turns: int, *, seconds: float = 10.0, rates: tuple[float, ...] = (50, 300)
) -> list[Part]:
    """Run everything in `folder`, at each rate in turns."""
    sites = folder / "sites.toml"
    sites.write_text(_SITES)
    async with LocalStack(folder, ports=Ports.free(), environ={"FAIRROLL_SITES": str(sites)}) as stack:
        settings = stack.settings
        topics = tuple(KafkaTopic(name, settings.partitions, {}) for name in floor.TOPICS)
        await provision_topics(settings, topics)
        async with _floor(settings), _client(settings) as client:
            whole, bare = _Path(client, _whole_way()), _Path(client, _floor_way())
            listener = asyncio.create_task(_listen(client, (whole, bare)))
            for path in (whole, bare):
                await path.waits_ms(rates[0], _WARM_UP_S)
            parts = [part for rate in rates for part in await _at(rate, turns, seconds, whole, bare)]
            listener.cancel()
    return parts


async def _at(rate: float, turns: int, seconds: float, whole: "_Path", bare: "_Path") -> list[Part]:
    waits = {"fairroll": list[list[float]](), "floor": list[list[float]]()}
    for _ in range(turns):
        waits["floor"].append(await bare.waits_ms(rate, seconds))
        waits["fairroll"].append(await whole.waits_ms(rate, seconds))
    title = f"publish to command at {rate:g} requests/s, turns of {seconds:g} s"
    note = "The floor is the same hops with nothing between: mosquitto, Kafka, a process, Kafka, mosquitto."
    return [
        Part(
            f"latency p{percent} at {rate:g}/s",
            title,
            "ms",
            tuple(Row(name, tuple(_percentile(some, percent) for some in all_)) for name, all_ in waits.items()),
            "floor",
            note,
        )
        for percent in (50, 99)
    ]


class _Path:
    """Publishes requests at a rate and notes when the command for each comes back."""

    def __init__(self, client: Client, question: Callable[[str], tuple[str, bytes]]) -> None:
        self._client = client
        self._question = question
        self._waits_ms: list[float] = []
        self._asked: dict[str, float] = {}
        self._random = np.random.default_rng(1)

    async def waits_ms(self, rate: float, seconds: float) -> list[float]:
        """Ask at random moments; return how long each answer took when all are there. Raises TimeoutError."""
        self._waits_ms = []
        end = time.perf_counter() + seconds
        moment = time.perf_counter()
        async with asyncio.TaskGroup() as asking:
            while (moment := moment + self._random.exponential(1 / rate)) < end:
                request = new_id()
                topic, payload = self._question(request)
                await asyncio.sleep(max(0.0, moment - time.perf_counter()))
                self._asked[request] = time.perf_counter()
                asking.create_task(self._client.publish(topic, payload, 1))
        async with asyncio.timeout(10):
            while self._asked:
                await asyncio.sleep(0.05)
        return self._waits_ms

    def answered(self, request: str, now: float) -> None:
        if asked := self._asked.pop(request, None):
            self._waits_ms.append(1000 * (now - asked))


async def _listen(client: Client, paths: tuple[_Path, ...]) -> None:
    async for message in client.messages:
        now = time.perf_counter()
        assert isinstance(message.payload, bytes)
        answer = json.decode(message.payload)
        for path in paths:
            path.answered(answer.get("request") or answer["id"], now)


def _whole_way() -> Callable[[str], tuple[str, bytes]]:
    rng = np.random.default_rng(2)
    protector = Protector(bytes(32), SYNTHETIC)

    def question(request: str) -> tuple[str, bytes]:
        template = protector.protect(SyntheticFace(rng).capture())
        topic = Topics().device("bench", str(rng.choice(_DEVICES)), "request")
        return topic, encode(FaceSeen(id=request, model=SYNTHETIC.id, template=template))

    return question


def _floor_way() -> Callable[[str], tuple[str, bytes]]:
    whole = _whole_way()
    return lambda request: (floor.QUESTIONS, whole(request)[1])


@asynccontextmanager
async def _client(settings: Settings) -> AsyncIterator[Client]:
    host, _, port = settings.mqtt.rpartition(":")
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    async with Client(host, int(port), protocol=ProtocolVersion.V5, socket_options=options) as client:
        client.pending_calls_threshold = 1000
        await client.subscribe([("fairroll/v1/bench/+/command", 1), (floor.ANSWERS, 1)])
        yield client


@asynccontextmanager
async def _floor(settings: Settings) -> AsyncIterator[None]:
    async with AsyncExitStack() as running:
        for hop in ("in", "through", "out"):
            command = (sys.executable, "-m", "tests.experiments.bench.floor", hop)
            process = await running.enter_async_context(beside(*command, env=environ_of(settings)))
            assert process.stdout
            await asyncio.wait_for(process.stdout.readline(), 30)
        yield


def _percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]
