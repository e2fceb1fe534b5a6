"""Supervision: restarts programs that die, and reports each step."""

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
"""A program that ran this long resets the backoff."""


@dataclass(frozen=True, kw_only=True)
class Died:
    """A program ended by itself, or did not become ready."""

    program: str
    how: str
    back_in_s: float

    def __str__(self) -> str:
        return f"{self.program} died ({self.how}); it is started again in {self.back_in_s:.1f} s"


@dataclass(frozen=True, kw_only=True)
class Returned:
    """A program is ready again."""

    program: str
    away_s: float
    """since it was found dead"""
    notice: str = ""
    """remark of the restart, such as a state file that was moved aside"""

    def __str__(self) -> str:
        return f"{self.program} is ready again, after {self.away_s:.1f} s{'; ' * bool(self.notice)}{self.notice}"


Change = Died | Returned


async def supervise(processes: Iterable[Process], report: Callable[[Change], None]) -> None:
    """Run until cancelled. A program that was stopped or killed through its Process is not restarted."""
    async with asyncio.TaskGroup() as tasks:
        for process in processes:
            tasks.create_task(_keep(process, report), name=f"keep {process.program.name}")


async def _keep(process: Process, report: Callable[[Change], None]) -> NoReturn:
    name, clock = process.program.name, asyncio.get_running_loop().time
    backoff, ready_at = Backoff(random.uniform, _FIRST_WAIT_S, _LONGEST_WAIT_S, _WORKED_S), clock()
    while True:
        how: str | None = await _ending(process)
        died_at = clock()
        lasted_s = died_at - ready_at
        while how:
            back_in_s = backoff.after(lasted_s)
            report(Died(program=name, how=how, back_in_s=back_in_s))
            await asyncio.sleep(back_in_s)
            how, lasted_s = await _start(process), 0.0
        ready_at = clock()
        report(Returned(program=name, away_s=ready_at - died_at, notice=process.notice))


async def _ending(process: Process) -> str:
    while not (how := process.ending):
        await asyncio.sleep(_LOOK_AGAIN_S)
    return how


async def _start(process: Process) -> str | None:
    """Start it and wait until it is ready; return the failure, after which it does not run."""
    try:
        await process.start()
        await process.until_ready()
    except (FairrollError, OSError) as error:
        how = process.ending or str(error).splitlines()[0].partition(";")[0]
        await process.stop()
        return how
    return None
