"""A segment of a run: people come, something goes wrong, all settles, and the checker judges."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from math import ceil
from pathlib import Path
from random import Random

import msgspec
from msgspec import Struct

from tests.chaos.checker import Evidence, Verdict, check
from tests.chaos.crowd import Plan
from tests.chaos.diary import read_diary
from tests.chaos.faults import Fault, Scene
from tests.chaos.pipeline import Pipeline, open_pipeline
from tests.chaos.probes import Probes
from tests.chaos.proxy import TcpProxy
from tests.chaos.reading import Reading, open_reading

__all__ = ["Load", "Run", "open_run"]

_RATE_A_CROWD = 50.0
_END_S = 40.0
"""for a crowd to end in order: its own patience with unnoted reports, and some"""
_LOOK_AGAIN_S = 1.0


class Load(Struct, frozen=True, kw_only=True):
    """Who comes."""

    rate: float = 200.0
    """requests a second"""
    seed: int = 1
    seconds: float | None = None
    """of each segment; None: what its fault wants"""
    settle_s: float = 30.0
    """until the deciders must have caught up"""

    @property
    def crowds(self) -> int:
        """Two at least, so that one can be killed beside another."""
        return max(2, ceil(self.rate / _RATE_A_CROWD))


class Run:
    """Segments of one pipeline, one after another."""

    def __init__(self, pipeline: Pipeline, reading: Reading, load: Load) -> None:
        self.pipeline = pipeline
        self._reading = reading
        self._load = load
        self._segments = 0
        self._probes = Probes(pipeline.settings.mqtt, pipeline.sites)

    async def segment(self, fault: Fault) -> Verdict:
        """Let it happen, and judge."""
        load, pipeline = self._load, self.pipeline
        self._segments += 1
        self._reading.books.turn_page()
        self._probes.acknowledged.clear()
        async with TcpProxy(pipeline.settings.mqtt) as proxy:
            diaries = await self._open_crowds(fault, proxy)
            probing = asyncio.create_task(self._probes.run())
            rng = Random(f"{load.seed}/{fault.name}")
            seconds = load.seconds or fault.seconds
            try:
                await asyncio.gather(
                    fault.happens(Scene(pipeline, proxy, "crowd-1", rng, seconds)), asyncio.sleep(seconds)
                )
            finally:
                probing.cancel()
                await asyncio.gather(probing, return_exceptions=True)
            await asyncio.gather(*(pipeline.tell_to_end(name, _END_S) for name in self._crowd_names))
        return await self._judge(diaries)

    @property
    def _crowd_names(self) -> list[str]:
        return [f"crowd-{number}" for number in range(1, self._load.crowds + 1)]

    async def _open_crowds(self, fault: Fault, proxy: TcpProxy) -> list[Path]:
        load, folder = self._load, self.pipeline.folder / "diaries"
        folder.mkdir(exist_ok=True)
        paths = [folder / f"{self._segments}-{fault.name}-{name}.jsonl" for name in self._crowd_names]
        for number, (name, path) in enumerate(zip(self._crowd_names, paths, strict=True), 1):
            plan = Plan(
                number=number,
                rate=load.rate / load.crowds,
                seed=(load.seed, self._segments, *fault.name.encode()),
                diary=str(path),
            )
            address = {"FAIRROLL_MQTT": proxy.address}
            self.pipeline.add(name, "tests.chaos.crowd", msgspec.json.encode(plan).decode(), environ=address)
        await asyncio.gather(*(self.pipeline.start(name) for name in self._crowd_names))
        return paths

    async def _judge(self, diaries: Sequence[Path]) -> Verdict:
        """Look again until all is well, for a bounded time; what was seen last is the verdict."""
        entries = [list(read_diary(path)) for path in diaries]
        deadline = asyncio.get_running_loop().time() + self._load.settle_s
        while True:
            await self._reading.catch_up()
            acknowledged = frozenset(self._probes.acknowledged)
            verdict = check(Evidence(books=self._reading.books, diaries=entries, acknowledged=acknowledged))
            if verdict.is_ok or asyncio.get_running_loop().time() > deadline:
                return verdict
            await asyncio.sleep(_LOOK_AGAIN_S)


@asynccontextmanager
async def open_run(folder: Path, load: Load, instead: Mapping[str, Sequence[str]] | None = None) -> AsyncIterator[Run]:
    """A pipeline of its own; `instead` names modules that stand in for parts."""
    async with (
        open_pipeline(folder, crowds=load.crowds, instead=instead) as pipeline,
        open_reading(pipeline.settings) as reading,
    ):
        yield Run(pipeline, reading, load)
