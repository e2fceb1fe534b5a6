"""`LocalStack`: brokers and processes on this machine, for `fairroll up`, the demo, the bench and the tests."""

import asyncio
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from infra.local.installation import Place, memory_folder
from infra.local.ports import LOOPBACK, Ports, is_taken
from infra.local.process import Process
from infra.local.programs import BROKERS, EVERYTHING, INSTEAD, PROCESSES, Part, part_of
from infra.setup.provision import provision
from models.errors import ConfigError
from models.settings import Settings
from stream_processors.keyholder.key_file import KeyFile
from stream_processors.runtime.site_file import configure_sites, read_sites

__all__ = ["LocalStack"]

_WATCH_S = 0.2


class LocalStack:
    """`async with` starts the parts, waits until all are ready, tells them the sites, and stops them after.

    A broker whose variable (`FAIRROLL_MQTT`, `FAIRROLL_KAFKA`, `FAIRROLL_INFLUX_URL`) stands in `environ` runs
    elsewhere already: it is `external` and not started. Starting raises ConfigError before anything runs (a port is
    taken, a program or the file of sites is missing) and PartDied after. The folder gets `config`, `data`, `logs` and
    `secrets`. The keys of the seal chains are in memory only, and end with the stack.
    """

    def __init__(
        self,
        folder: Path,
        *,
        parts: Collection[str] = EVERYTHING,
        ports: Ports | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        environ = environ or {}
        ports = ports or Ports()
        folder = folder.absolute()
        self.settings = Settings.from_environ({**_addresses(folder, ports), **environ})
        self.external = tuple(name for name in parts if INSTEAD.get(name, "") in environ)
        self._names = tuple(name for name in EVERYTHING if name in parts and name not in self.external)
        self._place = Place(folder, ports, self.settings)
        self._processes: dict[str, Process] = {}

    async def __aenter__(self) -> Self:
        parts = [part_of(name, self._place) for name in self._names]
        for part in parts:
            _check_ports(part)
        has_processes = not set(PROCESSES).isdisjoint(self._names)
        sites = read_sites(self.settings.sites) if has_processes else None
        self._processes = {part.name: Process(part, self._place.log(part.name)) for part in parts}
        try:
            await self._start_all(BROKERS)
            if sites:
                await provision(self.settings)
                await self._start_all(PROCESSES)
                await configure_sites(self.settings, sites)
        except BaseException:
            await self._stop_all()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop_all()

    def __iter__(self) -> Iterator[Process]:
        """The parts that it started, in order."""
        return iter(self._processes.values())

    def __getitem__(self, name: str) -> Process:
        return self._processes[name]

    async def watch(self) -> NoReturn:
        """Never returns; raises PartDied when a part ends that was not stopped or killed here."""
        while True:
            for process in self:
                process.check()
            await asyncio.sleep(_WATCH_S)

    async def start(self, name: str) -> None:
        """Start a part that was stopped or killed, and wait until it is ready."""
        await self[name].start()
        await self[name].until_ready()

    async def stop(self, name: str) -> None:
        """SIGTERM; returns when it is gone."""
        await self[name].stop()

    async def kill(self, name: str) -> None:
        """SIGKILL; returns when it is gone."""
        await self[name].kill()

    async def restart(self, name: str) -> None:
        """Stop it in order, start it, wait until it is ready."""
        await self.stop(name)
        await self.start(name)

    async def _start_all(self, names: Collection[str]) -> None:
        """All start before the first is waited for: together they need the time of the slowest."""
        chosen = [process for process in self if process.part.name in names]
        for process in chosen:
            await process.start()
        for process in chosen:
            await process.until_ready()

    async def _stop_all(self) -> None:
        for process in reversed(tuple(self)):
            await process.stop()
        if "keyholder" in self._processes:  # nobody steps its keys any more
            KeyFile(Path(self.settings.keys_file)).destroy()
            shutil.rmtree(memory_folder(self._place.folder), ignore_errors=True)


def _addresses(folder: Path, ports: Ports) -> dict[str, str]:
    return {
        "FAIRROLL_MQTT": f"{LOOPBACK}:{ports.mqtt}",
        "FAIRROLL_KAFKA": f"{LOOPBACK}:{ports.kafka}",
        "FAIRROLL_INFLUX_URL": f"http://{LOOPBACK}:{ports.gateway}",
        "FAIRROLL_DATA": str(folder / "data"),
        "FAIRROLL_SECRETS": str(folder / "secrets"),
        "FAIRROLL_KEYS": f"unix:{memory_folder(folder)}",
        "FAIRROLL_KEYS_FILE": str(memory_folder(folder) / "chains"),
        "FAIRROLL_SERVICES": ",".join(f"{LOOPBACK}:{getattr(ports, name)}" for name in PROCESSES),
    }


def _check_ports(part: Part) -> None:
    for port in part.ports:
        if is_taken(port):
            elsewhere = f", or set {INSTEAD[part.name]} to use one that runs already" if part.name in INSTEAD else ""
            raise ConfigError(
                f"port {port}, which {part.name} needs, is taken: choose other ports with"
                f" `fairroll up --ports free`{elsewhere}"
            )
