"""The pipeline under test: the real local stack, more processes beside it, and hands to hurt them with."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from infra.local.ports import Ports
from infra.local.process import Process, ProgramDied
from infra.local.programs import EVERYTHING, Program
from infra.local.stack import LocalStack
from infra.local.supervisor import supervise
from tests.experiments.chaos.crowd import DEVICES, sites_of
from tests.experiments.chaos.probes import PROBE

__all__ = ["Pipeline", "open_pipeline"]

_LOOK_AGAIN_S = 0.2
_ATTEMPTS, _ATTEMPT_S = 5, 2.0
"""of a supervisor, and the time to give it"""
_SITE = """\
[sites.{site}]
mode = "face"
simulated = true
devices = [{devices}]

[sites.{site}.policy]
window_s = {window_s}
button_budget_cm = 100_000
dispenser_limit_cm = 100_000
ration_budget_cm = 100_000
"""


class Pipeline:
    """Processes by name: those of the stack, and those that `add` brought."""

    def __init__(self, stack: LocalStack, folder: Path, instead: Mapping[str, Sequence[str]], crowds: int) -> None:
        self.settings = stack.settings
        self.folder = folder
        self.sites = [site for number in range(1, crowds + 1) for site in sites_of(number)]
        self.restarts: list[str] = []
        """what died by itself and was started again"""
        self._processes = {process.program.name: process for process in stack}
        self._instead = instead
        self._supervisors: list[asyncio.Task[None]] = []
        self.supervise(*stack)

    def __getitem__(self, name: str) -> Process:
        return self._processes[name]

    @property
    def processes(self) -> list[Process]:
        return list(self._processes.values())

    def add(self, name: str, *command: str, environ: Mapping[str, str] | None = None) -> Process:
        """A Python module and its arguments; not started yet. A name that is there already is taken over."""
        part = Program(
            name=name,
            command=(sys.executable, "-m", *command),
            environ=self.settings.to_environ() | {"PYTHONUNBUFFERED": "1"} | dict(environ or {}),
        )
        self._processes[name] = Process(part, self.folder / "logs" / f"{name}.log")
        return self._processes[name]

    def add_decider(self, name: str) -> None:
        """One more worker, or the only one where another program stands in for it."""
        command = self._instead.get("decider", ("infra.cli", "decider"))
        self.supervise(self.add(name, *command, environ={"FAIRROLL_DATA": str(self.folder / "data" / name)}))

    def supervise(self, *processes: Process) -> None:
        """Start again whichever of them dies by itself."""
        self._supervisors.append(
            asyncio.create_task(supervise(processes, lambda change: self.restarts.append(str(change))))
        )

    async def close(self) -> None:
        for supervisor in self._supervisors:
            supervisor.cancel()
        await asyncio.gather(*self._supervisors, return_exceptions=True)
        for process in reversed(self.processes):
            self.thaw(process.program.name)
            await process.stop()

    async def start(self, name: str) -> None:
        """Start it and wait until it is ready; if it dies before that, the supervisor starts it again."""
        await self[name].start()
        for _ in range(_ATTEMPTS):
            try:
                await self[name].until_ready()
            except ProgramDied:
                await asyncio.sleep(_ATTEMPT_S)
            else:
                return
        self[name].check()

    async def stop(self, name: str) -> None:
        await self[name].stop()

    async def kill(self, name: str) -> None:
        await self[name].kill()

    async def restart(self, name: str) -> None:
        await self.stop(name)
        await self.start(name)

    def freeze(self, name: str) -> None:
        """SIGSTOP: it stands still and does not know it."""
        _signal(self[name], signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        _signal(self[name], signal.SIGCONT)

    async def tell_to_end(self, name: str, within_s: float) -> None:
        """SIGTERM, and time to finish; SIGKILL after that."""
        _signal(self[name], signal.SIGTERM)
        try:
            async with asyncio.timeout(within_s):
                while self[name].is_running:
                    await asyncio.sleep(_LOOK_AGAIN_S)
        except TimeoutError:
            await self.kill(name)


def _signal(process: Process, number: signal.Signals) -> None:
    if process.pid is not None and process.is_running:
        os.kill(process.pid, number)


@asynccontextmanager
async def open_pipeline(
    folder: Path, *, crowds: int, window_s: int = 120, instead: Mapping[str, Sequence[str]] | None = None
) -> AsyncIterator[Pipeline]:
    """All of it, on free ports; `instead` names modules that stand in for parts of the same name."""
    instead = instead or {}
    (folder / "sites.toml").write_text(_sites(crowds, window_s))
    environ = {"FAIRROLL_SITES": str(folder / "sites.toml")}
    parts = [name for name in EVERYTHING if name not in instead]
    async with LocalStack(folder, programs=parts, ports=Ports.free(), environ=environ) as stack:
        pipeline = Pipeline(stack, folder, instead, crowds)
        try:
            for name, command in instead.items():
                pipeline.supervise(pipeline.add(name, *command))
                await pipeline.start(name)
            yield pipeline
        finally:
            await pipeline.close()


def _sites(crowds: int, window_s: int) -> str:
    devices = ", ".join(f'"{name}"' for name in (*DEVICES, PROBE))
    names = [site for number in range(1, crowds + 1) for site in sites_of(number)]
    return "\n".join(_SITE.format(site=site, devices=devices, window_s=window_s) for site in names)
