"""Supervision: what dies is started again, and every step is told."""

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn

from infra.local.process import Process
from models.backoff import Backoff
from models.errors import FairrollError

__all__ = ["Change", "Died", "Returned", "supervise"]

_LOOK_AGAIN_S = 0.2
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_WORKED_S = 60.0
"""After so much good work, the next death is a new one and not the same again."""


@dataclass(frozen=True, kw_only=True)
class Died:
    """A part ended by itself, or did not become ready."""

    part: str
    how: str
    back_in_s: float

    def __str__(self) -> str:
        return f"{self.part} died ({self.how}); it is started again in {self.back_in_s:.1f} s"


@dataclass(frozen=True, kw_only=True)
class Returned:
    """A part is ready again."""

    part: str
    away_s: float
    """since it was found dead"""
    notice: str = ""
    """what its start did beside starting it"""

    def __str__(self) -> str:
        return f"{self.part} is ready again, after {self.away_s:.1f} s{'; ' * bool(self.notice)}{self.notice}"


Change = Died | Returned


async def supervise(processes: Iterable[Process], tell: Callable[[Change], None]) -> None:
    """Runs until it is cancelled. What was stopped or killed through its Process stays down."""
    async with asyncio.TaskGroup() as tasks:
        for process in processes:
            tasks.create_task(_keep(process, tell), name=f"keep {process.part.name}")


async def _keep(process: Process, tell: Callable[[Change], None]) -> NoReturn:
    name, clock = process.part.name, asyncio.get_running_loop().time
    backoff, ready_at = Backoff(random.uniform, _FIRST_WAIT_S, _LONGEST_WAIT_S, _WORKED_S), clock()
    while True:
        how: str | None = await _ending(process)
        died_at = clock()
        lasted_s = died_at - ready_at
        while how:
            back_in_s = backoff.after(lasted_s)
            tell(Died(part=name, how=how, back_in_s=back_in_s))
            await asyncio.sleep(back_in_s)
            how, lasted_s = await _start(process), 0.0
        ready_at = clock()
        tell(Returned(part=name, away_s=ready_at - died_at, notice=process.notice))


async def _ending(process: Process) -> str:
    while not (how := process.ending):
        await asyncio.sleep(_LOOK_AGAIN_S)
    return how


async def _start(process: Process) -> str | None:
    """Start it and wait until it is ready; how it failed, if it did, and then it does not run."""
    try:
        await process.start()
        await process.until_ready()
    except (FairrollError, OSError) as error:
        how = process.ending or str(error).splitlines()[0].partition(";")[0]
        await process.stop()
        return how
    return None
