"""A segment of a run: people come, something goes wrong, all settles, and the checker judges."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from tests.experiments.chaos.checker import Evidence, Verdict, check
from tests.experiments.chaos.faults import Fault, Scene
from tests.experiments.chaos.load import Load, crowds_at
from tests.experiments.chaos.pipeline import Pipeline, open_pipeline
from tests.experiments.chaos.probes import Probes
from tests.experiments.chaos.proxy import TcpProxy
from tests.experiments.chaos.reading import Reading, open_reading
from tests.experiments.chaos.visitor_log import read_visitor_log

__all__ = ["Run", "open_run"]

_LOOK_AGAIN_S = 1.0


class Run:
    """Segments of one pipeline, one after another."""

    def __init__(self, pipeline: Pipeline, reading: Reading, load: Load) -> None:
        self.pipeline = pipeline
        self._reading = reading
        self._load = load
        self._times: Counter[str] = Counter()
        self._probes = Probes(pipeline.settings.mqtt, pipeline.settings.topics, pipeline.sites)

    async def segment(self, fault: Fault) -> Verdict:
        """Let it happen, and judge. Whatever is drawn by lot depends on the seed and the fault alone."""
        self._times[fault.name] += 1
        seed = f"{self._load.seed}/{fault.name}/{self._times[fault.name]}"
        self._reading.books.turn_page()
        self._probes.acknowledged.clear()
        async with TcpProxy(self.pipeline.settings.mqtt) as proxy:
            crowds = crowds_at(self.pipeline, proxy.address, self._load.rate, seed, self._load.crowds)
            async with crowds as visitor_logs, self._probes.shots():
                seconds = self._load.seconds or fault.seconds
                scene = Scene(self.pipeline, proxy, "crowd-1", Random(seed), seconds)
                await asyncio.gather(fault.happens(scene), asyncio.sleep(seconds))
        return await self._judge(visitor_logs)

    async def _judge(self, visitor_logs: Sequence[Path]) -> Verdict:
        """Look again until all is well, for a bounded time; what was seen last is the verdict."""
        entries = [list(read_visitor_log(path)) for path in visitor_logs]
        deadline = asyncio.get_running_loop().time() + self._load.settle_s
        while True:
            await self._reading.catch_up()
            acknowledged = frozenset(self._probes.acknowledged)
            verdict = check(Evidence(books=self._reading.books, visitor_logs=entries, acknowledged=acknowledged))
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
