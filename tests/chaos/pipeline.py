"""The pipeline under test: the real local stack, more processes beside it, and hands to hurt them with."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from infra.local.parts import EVERYTHING, Part
from infra.local.ports import Ports
from infra.local.process import PartDied, Process
from infra.local.stack import LocalStack
from models.settings import Settings
from tests.chaos.crowd import DEVICES, sites_of
from tests.chaos.probes import PROBE

__all__ = ["Pipeline", "open_pipeline"]

_LOOK_AGAIN_S = 0.2
_ATTEMPTS = 4
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
        self.told: list[str] = []
        """what died by itself and was started again"""
        self._processes = {process.part.name: process for process in stack}
        self._instead = instead

    def __getitem__(self, name: str) -> Process:
        return self._processes[name]

    @property
    def processes(self) -> list[Process]:
        return list(self._processes.values())

    def add(self, name: str, *command: str, environ: Mapping[str, str] | None = None) -> Process:
        """A Python module and its arguments; not started yet. A name that is there already is taken over."""
        part = Part(
            name=name,
            command=(sys.executable, "-m", *command),
            environ=self.settings.to_environ() | {"PYTHONUNBUFFERED": "1"} | (environ or {}),
        )
        self._processes[name] = Process(part, self.folder / "logs" / f"{name}.log")
        return self._processes[name]

    def add_decider(self, name: str) -> None:
        """One more worker, or the only one where another program stands in for it."""
        command = self._instead.get("decider", ("infra.cli", "decider"))
        self.add(name, *command, environ={"FAIRROLL_DATA": str(self.folder / "data" / name)})

    async def start(self, name: str) -> None:
        """Start it and wait until it is ready; again if it could not be, as a supervisor would."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self[name].start()
                await self[name].until_ready()
            except PartDied as died:
                if attempt == _ATTEMPTS:
                    raise
                self.told.append(str(died).partition(";")[0])
                await self[name].stop()
            else:
                return

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

    async def keep(self) -> None:
        """Start again what dies by itself, until cancelled; everything but crowds and other clients of ours."""
        while True:
            for name in [name for name in self._processes if name.rstrip("-2") in EVERYTHING]:
                try:
                    self[name].check()
                except PartDied as died:
                    self.told.append(str(died).partition(";")[0])
                    await self[name].start()
            await asyncio.sleep(_LOOK_AGAIN_S)


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
    async with LocalStack(folder, parts=parts, ports=Ports.free(), environ=environ) as stack:
        pipeline = Pipeline(stack, folder, instead, crowds)
        keeping = asyncio.create_task(pipeline.keep())
        try:
            for name, command in instead.items():
                pipeline.add(name, *command)
                await pipeline.start(name)
            yield pipeline
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            for process in reversed(pipeline.processes):
                pipeline.thaw(process.part.name)
                await process.stop()


def _sites(crowds: int, window_s: int) -> str:
    devices = ", ".join(f'"{name}"' for name in (*DEVICES, PROBE))
    names = [site for number in range(1, crowds + 1) for site in sites_of(number)]
    return "\n".join(_SITE.format(site=site, devices=devices, window_s=window_s) for site in names)
