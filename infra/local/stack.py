"""`LocalStack`: brokers and processes on this machine, for `fairroll up`, the demo, the bench and the tests."""

import asyncio
import shutil
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from infra.local.installation import Place, memory_folder
from infra.local.ports import LOOPBACK, Ports, is_taken
from infra.local.process import Process
from infra.local.programs import BROKERS, EVERYTHING, INSTEAD, PROCESSES, Program, program_of
from infra.local.secured import certify, secured
from infra.setup.provision import provision
from infra.sites.application import apply_without_removals
from models.errors import ConfigError
from models.process.site_file import read_sites
from models.settings import Settings
from stream_processors.keyholder.key_file import KeyFile

__all__ = ["LocalStack"]

_WATCH_S = 0.2


class LocalStack:
    """`async with` starts the programs, waits until all are ready, applies the sites file, and stops them afterwards.

    A broker whose variable (`FAIRROLL_MQTT`, `FAIRROLL_KAFKA`, `FAIRROLL_INFLUX_URL`) is set in `environ` runs
    elsewhere already: it is `external` and not started. `is_secure`: the MQTT broker wants certificates, which are made
    first. Starting raises ConfigError before anything runs (a port is
    taken, a program or the file of sites is missing) and ProgramDied after. The folder gets `config`, `data`, `logs`
    and `secrets`. The keys of the seal chains are in memory only, and end with the stack.
    """

    def __init__(
        self,
        folder: Path,
        *,
        programs: Collection[str] = EVERYTHING,
        ports: Ports | None = None,
        environ: Mapping[str, str] | None = None,
        is_secure: bool = False,
    ) -> None:
        environ = environ or {}
        ports = ports or Ports()
        folder = folder.absolute()
        addresses = _addresses(folder, ports) | (secured(folder) if is_secure else {})
        self.settings = Settings.from_environ({**addresses, **environ})
        self.external = tuple(name for name in programs if INSTEAD.get(name, "") in environ)
        self._names = tuple(name for name in EVERYTHING if name in programs and name not in self.external)
        self._place = Place(folder, ports, self.settings)
        self._is_secure = is_secure
        self._processes: dict[str, Process] = {}
        self.kept: list[str] = []
        """sites and dispensers that Kafka holds and the sites file does not list"""

    async def __aenter__(self) -> Self:
        has_processes = not set(PROCESSES).isdisjoint(self._names)
        sites = read_sites(self.settings.sites) if has_processes else None
        self._check_tls()
        if self._is_secure:
            certify(self._place.folder, self.settings, sites, datetime.now(UTC))
        programs = [program_of(name, self._place) for name in self._names]
        for program in programs:
            _check_ports(program)
        self._processes = {program.name: Process(program, self._place.log(program.name)) for program in programs}
        try:
            await self._start_all(BROKERS)
            if sites:
                await provision(self.settings)
                await self._start_all(PROCESSES)
                self.kept = await apply_without_removals(self.settings, sites, is_decided="decider" in self._names)
        except BaseException:
            await self._stop_all()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop_all()

    def __iter__(self) -> Iterator[Process]:
        """The programs that it started, in order."""
        return iter(self._processes.values())

    def __getitem__(self, name: str) -> Process:
        return self._processes[name]

    async def watch(self) -> NoReturn:
        """Never returns; raises ProgramDied when a program ends that was not stopped or killed here."""
        while True:
            for process in self:
                process.check()
            await asyncio.sleep(_WATCH_S)

    async def start(self, name: str) -> None:
        """Start a program that was stopped or killed, and wait until it is ready."""
        await self[name].start()
        await self[name].until_ready()

    async def stop(self, name: str) -> None:
        """SIGTERM; returns when it has ended."""
        await self[name].stop()

    async def kill(self, name: str) -> None:
        """SIGKILL; returns when it has ended."""
        await self[name].kill()

    async def restart(self, name: str) -> None:
        """Stop it in order, start it, wait until it is ready."""
        await self.stop(name)
        await self.start(name)

    def _check_tls(self) -> None:
        """Its own MQTT broker has certificates exactly if the settings say so."""
        if self._is_secure and "mosquitto" in self.external:
            raise ConfigError("--secure makes the certificates of its own MQTT broker: unset FAIRROLL_MQTT")
        if self.settings.mqtt_ca and not self._is_secure and "mosquitto" in self._names:
            raise ConfigError("FAIRROLL_MQTT_CA is set, and this MQTT broker has no TLS: unset it, or use --secure")

    async def _start_all(self, names: Collection[str]) -> None:
        """Start all programs, then wait: together they need the time of the slowest."""
        chosen = [process for process in self if process.program.name in names]
        for process in chosen:
            await process.start()
        for process in chosen:
            await process.until_ready()

    async def _stop_all(self) -> None:
        for process in reversed(tuple(self)):
            await process.stop()
        if "keyholder" in self._processes:  # no process steps its keys any more
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


def _check_ports(program: Program) -> None:
    for port in program.ports:
        if is_taken(port):
            elsewhere = (
                f", or set {INSTEAD[program.name]} to use one that runs already" if program.name in INSTEAD else ""
            )
            raise ConfigError(
                f"port {port}, which {program.name} needs, is taken: choose other ports with"
                f" `fairroll up --ports free`{elsewhere}"
            )
