"""`make chaos`: faults on real brokers under load, a checker, a table; then the checker's own test on broken pipelines.

Non-zero exit when a row is off, or when something broken was not reported.
"""

import argparse
import asyncio
import logging
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console

from tests.experiments.chaos.breaking import BROKEN_PIPELINES, judged
from tests.experiments.chaos.faults import FAULTS, Fault
from tests.experiments.chaos.load import Load
from tests.experiments.chaos.segments import open_run
from tests.experiments.chaos.table import show, tell

_BROKEN_LOAD = Load(rate=60.0, seconds=8.0)
"""Enough to see what is broken."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.experiments.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, help="of each fault")
    parser.add_argument("--seed", type=int, default=1, help="of the people and of the faults' moments")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--only", nargs="+", choices=[fault.name for fault in FAULTS], metavar="NAME")
    parser.add_argument("--broken", action="store_true", help="only the pipelines that are broken on purpose")
    parser.add_argument("--folder", type=Path, help="where logs and visitor_logs stay; by default they do not")
    return parser.parse_args()


async def _faults(folder: Path, load: Load, faults: list[Fault], console: Console) -> bool:
    """Whether every row is ok."""
    rows = []
    async with open_run(folder, load) as run:
        for fault in faults:
            with console.status(fault.name):
                verdict = await run.segment(fault)
            rows.append((fault.name, verdict))
            tell(console, fault.name, verdict, run.pipeline.restarts)
            run.pipeline.restarts.clear()
    show(console, f"{load.rate:g} requests/s, seed {load.seed}", rows)
    return all(verdict.is_ok for _, verdict in rows)


async def _broken(folder: Path, seed: int, console: Console) -> bool:
    """Whether everything that is broken was reported."""
    load = Load(rate=_BROKEN_LOAD.rate, seconds=_BROKEN_LOAD.seconds, seed=seed)
    missed = []
    for broken in BROKEN_PIPELINES:
        place = folder / broken.name
        place.mkdir(exist_ok=True)
        with console.status(broken.name):
            verdict = await judged(broken, place, load)
        if not broken.is_reported(verdict):
            missed.append(broken.name)
        tell(console, f"{broken.name}, on purpose", verdict, ())
    console.print(f"not reported, though broken: {', '.join(missed)}" if missed else "all that is broken was reported")
    return not missed


async def _run(arguments: argparse.Namespace, folder: Path, console: Console) -> bool:
    if task := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    load = Load(rate=arguments.rate, seed=arguments.seed, seconds=arguments.seconds)
    faults = [fault for fault in FAULTS if not arguments.only or fault.name in arguments.only]
    parts: list[Callable[[], Awaitable[bool]]] = []
    if not arguments.broken:
        parts.append(lambda: _faults(folder, load, faults, console))
    if not arguments.only:
        parts.append(lambda: _broken(folder, load.seed, console))
    return all([await part() for part in parts])


def main() -> None:
    for client in ("aiokafka", "mqtt"):  # a broker that is killed is no news here
        logging.getLogger(client).setLevel(logging.CRITICAL)
    arguments, console = _arguments(), Console()
    with tempfile.TemporaryDirectory(prefix="fairroll-chaos-") as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        sys.exit(not asyncio.run(_run(arguments, folder, console)))


if __name__ == "__main__":
    main()
