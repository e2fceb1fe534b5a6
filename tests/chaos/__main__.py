"""`make chaos`: faults on real brokers under load, a checker, a table. Non-zero exit when a row is off."""

import argparse
import asyncio
import logging
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.chaos.checker import Verdict
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.segments import Load, open_run
from tests.chaos.table import show, tell


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, help="of each segment")
    parser.add_argument("--seed", type=int, default=1, help="of the people and of the faults' moments")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--only", nargs="+", choices=[fault.name for fault in FAULTS], metavar="NAME")
    parser.add_argument("--folder", type=Path, help="where logs and diaries stay; by default they do not")
    return parser.parse_args()


async def _run(folder: Path, load: Load, faults: list[Fault], console: Console) -> list[tuple[str, Verdict]]:
    rows = []
    if task := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with open_run(folder, load) as run:
        for fault in faults:
            with console.status(fault.name):
                verdict = await run.segment(fault)
            rows.append((fault.name, verdict))
            tell(console, fault.name, verdict, run.pipeline.told)
            run.pipeline.told.clear()
    return rows


def main() -> None:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a broker that is killed is no news here
    arguments, console = _arguments(), Console()
    load = Load(rate=arguments.rate, seed=arguments.seed, seconds=arguments.seconds)
    faults = [fault for fault in FAULTS if not arguments.only or fault.name in arguments.only]
    with tempfile.TemporaryDirectory(prefix="fairroll-chaos-") as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = asyncio.run(_run(folder, load, faults, console))
    title = f"{load.rate:g} requests/s, seed {load.seed}"
    show(console, title, rows)
    sys.exit(any(not verdict.is_ok for _, verdict in rows))


if __name__ == "__main__":
    main()
