"""The load: how many people come, and the processes in which they do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.experiments.chaos.crowd import Plan
from tests.experiments.chaos.pipeline import Pipeline

__all__ = ["Load", "crowds_at"]

_RATE_A_CROWD = 50.0
_END_S = 40.0
"""for a crowd to end in order: its own patience with unacknowledged reports, and some"""


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


@asynccontextmanager
async def crowds_at(pipeline: Pipeline, mqtt: str, rate: float, seed: str, crowds: int) -> AsyncIterator[list[Path]]:
    """Crowds that are connected to `mqtt`, and their visitor_logs; at the end they end in order.

    `seed` is a text that no other crowds of this pipeline had: their visitor_logs are named by it.
    """
    folder = pipeline.folder / "visitor_logs"
    folder.mkdir(exist_ok=True)
    names = [f"crowd-{number}" for number in range(1, crowds + 1)]
    visitor_logs = [folder / f"{seed.replace('/', '-')}-{name}.jsonl" for name in names]
    for number, (name, visitor_log) in enumerate(zip(names, visitor_logs, strict=True), 1):
        plan = Plan(number=number, rate=rate / crowds, seed=tuple(seed.encode()), visitor_log=str(visitor_log))
        arguments = msgspec.json.encode(plan).decode()
        pipeline.add(name, "tests.experiments.chaos.crowd", arguments, environ={"FAIRROLL_MQTT": mqtt})
    await asyncio.gather(*(pipeline.start(name) for name in names))
    yield visitor_logs
    await asyncio.gather(*(pipeline.tell_to_end(name, _END_S) for name in names))
