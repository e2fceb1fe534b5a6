"""`make soak`: the highest rate that this machine holds, held for ten minutes; does memory stay flat?

How the rate is found: up in steps of seconds until one is not held, then down until one is held for a minute, in which
a queue shows that builds up. A step has to keep to half of the limits, so that ten minutes have a margin.

Non-zero exit when a process grows, the p99 of answers is a second or more, or one person in a hundred goes away.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from rich.console import Console
from rich.text import Text

from infra.tables import Table, stacked
from tests.experiments.chaos.figure import draw
from tests.experiments.chaos.load import crowds_at
from tests.experiments.chaos.memory import CRITERION, Growth, Samples, growth, sample
from tests.experiments.chaos.pipeline import Pipeline, open_pipeline
from tests.experiments.chaos.visitor_log import AnswerShown, PowerOff, RequestSent, read_visitor_log

__all__ = ["Soak", "Soaked", "Step", "Waits", "search", "soak"]

_P99_S = 1.0
_WENT = 0.01
"""share of the people who found a line too long to stand in"""
_OF_THE_LIMITS = 0.5
"""that a step of the search may use"""


class Soak(Struct, frozen=True, kw_only=True):
    """What to do."""

    minutes: float = 10.0
    rate: float | None = None
    """requests a second; None: what the search finds"""
    first_rate: float = 50.0
    step: float = 50.0
    step_s: float = 8.0
    proof_s: float = 60.0
    """of the last steps: the time in which a queue must not build up"""
    crowds: int = 6
    window_s: int = 60
    """of the sites' policies: memory is only steady when as many grants expire as come"""
    sample_s: float = 5.0
    warm_up_s: float = 120.0
    """two windows, but at most half of the time"""
    seed: int = 1


class Waits(Struct, frozen=True, kw_only=True):
    """Latency of all answers, local rations included; seconds."""

    answers: list[tuple[float, float]]
    """when, and after how long"""
    went: int

    @property
    def p50(self) -> float:
        return self._percentile(50)

    @property
    def p99(self) -> float:
        return self._percentile(99)

    def keep_to(self, limits: float) -> bool:
        """Whether nearly everybody could ask and was answered in time, by that share of the limits."""
        return self.p99 < limits * _P99_S and self.went < limits * _WENT * (len(self.answers) + self.went)

    def _percentile(self, percent: float) -> float:
        return float(np.percentile([waited for _, waited in self.answers], percent)) if self.answers else float("inf")


class Step(NamedTuple):
    """So many requests a second, for so many seconds, and how long people waited."""

    rate: float
    seconds: float
    waits: Waits

    @property
    def is_held(self) -> bool:
        return self.waits.keep_to(_OF_THE_LIMITS)


class Soaked(Struct, frozen=True, kw_only=True):
    """What came of it."""

    steps: list[Step]
    held: Step
    samples: Samples
    growths: dict[str, Growth]

    @property
    def is_ok(self) -> bool:
        return self.held.waits.keep_to(1.0) and all(growth.is_flat for growth in self.growths.values())


async def soak(folder: Path, plan: Soak) -> Soaked:
    """Search for the rate, if none is given, and hold it."""
    async with open_pipeline(folder, crowds=plan.crowds, window_s=plan.window_s) as pipeline:
        steps = [] if plan.rate else await search(plan, partial(_try, pipeline, plan))
        samples: Samples = {}
        held = await _hold(pipeline, plan, plan.rate or steps[-1].rate, samples)
    warm = min(plan.warm_up_s, held.seconds / 2)
    kept = {name: [s for s in taken if warm <= s[0] <= held.seconds] for name, taken in samples.items()}
    growths = {name: growth(taken) for name, taken in kept.items() if len(taken) > 1}
    return Soaked(steps=steps, held=held, samples=samples, growths=growths)


async def search(plan: Soak, attempt: Callable[[float, float], Awaitable[Step]]) -> list[Step]:
    """All steps; the last is the rate to hold, which is the first one where not even that is held for a minute."""
    steps = [await attempt(plan.first_rate, plan.step_s)]
    while steps[-1].is_held:
        steps.append(await attempt(steps[-1].rate + plan.step, plan.step_s))
    while steps[-1].rate > plan.first_rate:
        proof = await attempt(steps[-1].rate - plan.step, plan.proof_s)
        steps.append(proof)
        if proof.is_held:
            break
    return steps


async def _try(pipeline: Pipeline, plan: Soak, rate: float, seconds: float) -> Step:
    seed = f"{plan.seed}/at-{rate:g}-for-{seconds:g}"
    async with crowds_at(pipeline, pipeline.settings.mqtt, rate, seed, plan.crowds) as visitor_logs:
        await asyncio.sleep(seconds)
    return Step(rate, seconds, _waits(visitor_logs))


async def _hold(pipeline: Pipeline, plan: Soak, rate: float, samples: Samples) -> Step:
    """Sample every process of the pipeline, the crowds too."""
    async with crowds_at(pipeline, pipeline.settings.mqtt, rate, f"{plan.seed}/held", plan.crowds) as visitor_logs:
        pids = {
            process.program.name: process.pid for process in pipeline.processes if process.pid and process.is_running
        }
        sampling = asyncio.create_task(sample(pids, plan.sample_s, samples))
        await asyncio.sleep(60 * plan.minutes)
        sampling.cancel()
        with suppress(asyncio.CancelledError):
            await sampling
    return Step(rate, 60 * plan.minutes, _waits(visitor_logs))


def _waits(visitor_logs: Sequence[Path]) -> Waits:
    entries = [entry for visitor_log in visitor_logs for entry in read_visitor_log(visitor_log)]
    first = min((entry.at for entry in entries if isinstance(entry, RequestSent)), default=0.0)
    answers = sorted((entry.at - first, entry.waited_s) for entry in entries if isinstance(entry, AnswerShown))
    return Waits(answers=answers, went=sum(entry.went for entry in entries if isinstance(entry, PowerOff)))


def _show(console: Console, soaked: Soaked) -> None:
    steps = Table(
        "requests/s",
        "for s",
        "answers",
        "p50 ms",
        "p99 ms",
        "went away",
        title="how much is held",
    )
    for step in [*soaked.steps, soaked.held]:
        steps.add_row(*_cells(step))
    memory = Table("process", "MB then", "MB at the end", "MB a minute", "", title=CRITERION)
    for name, grown in soaked.growths.items():
        answers = Text("flat") if grown.is_flat else Text("GROWS", "bold red")
        memory.add_row(name, f"{grown.first:.1f}", f"{grown.last:.1f}", f"{grown.a_minute:+.2f}", answers)
    console.print(stacked(steps, memory))


def _cells(step: Step) -> list[str]:
    rate, seconds, waits = step
    times = [f"{1000 * waits.p50:.0f}", f"{1000 * waits.p99:.0f}"]
    return [f"{rate:g}", f"{seconds:g}", str(len(waits.answers)), *times, str(waits.went)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.experiments.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, help="requests a second, instead of a search for the highest")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--png", type=Path, default=Path(".local/soak.png"), help="where the figure goes")
    arguments = parser.parse_args()
    plan = Soak(minutes=arguments.minutes, rate=arguments.rate, seed=arguments.seed)
    with tempfile.TemporaryDirectory(prefix="fairroll-soak-") as folder:
        soaked = asyncio.run(soak(Path(folder), plan))
    console = Console()
    _show(console, soaked)
    draw(arguments.png, soaked.samples, soaked.held.waits.answers)
    console.print(f"the figure: {arguments.png}; {'all well' if soaked.is_ok else 'NOT WELL'}", soft_wrap=True)
    sys.exit(not soaked.is_ok)


if __name__ == "__main__":
    main()
