"""InfluxDB is killed under load and stays down; then the sink is killed too.

`python -m tests.experiments.chaos.metrics_outage`

Shows how answers went in the meantime, and whether the points that Kafka's records make are the points that InfluxDB
holds. Non-zero exit when they are not, or when the checker finds anything off.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console

from tests.experiments.chaos.faults import Fault, Scene
from tests.experiments.chaos.load import Load
from tests.experiments.chaos.segments import open_run
from tests.experiments.chaos.table import show, tell
from tests.support.metric_books import expected, until_stored

_BEFORE_S, _AFTER_S = 20.0, 20.0
_WITHIN_S = 240.0


def _away(seconds: float) -> Fault:
    async def happens(scene: Scene) -> None:
        await asyncio.sleep(_BEFORE_S)
        await scene.pipeline.kill("influxd")
        await asyncio.sleep(seconds / 2)
        await scene.pipeline.kill("sink")
        await scene.pipeline.start("sink")
        await asyncio.sleep(seconds / 2)
        await scene.pipeline.start("influxd")

    return Fault("influxdb-away", happens, _BEFORE_S + seconds + _AFTER_S)


async def _run(folder: Path, rate: float, seconds: float, console: Console) -> bool:
    async with open_run(folder, Load(rate=rate)) as run:
        verdict = await run.segment(_away(seconds))
        tell(console, "influxdb-away", verdict, run.pipeline.restarts)
        show(console, f"{rate:g} requests/s, InfluxDB away for {seconds:g} s", [("influxdb-away", verdict)])
        settings = run.pipeline.settings
        made, held = await until_stored(settings, _WITHIN_S)
        more = await expected(settings)  # time went on: what is held now was made by now
    wrong = sum(held[key] != fields for key, fields in made.items())
    strangers = len(held.keys() - more.keys())
    counts = ", ".join(f"{n} {name}" for name, n in sorted(Counter(key.measurement for key in made).items()))
    console.print(f"points produced {len(made)} ({counts})")
    console.print(f"points stored {len(made.keys() & held.keys())}, {wrong} of them different, {strangers} unexpected")
    return verdict.is_ok and not wrong and not strangers


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.experiments.chaos.metrics_outage", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="for which InfluxDB is away")
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    arguments = parser.parse_args()
    for client in ("aiokafka", "mqtt"):
        logging.getLogger(client).setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="fairroll-metrics-") as folder:
        sys.exit(not asyncio.run(_run(Path(folder), arguments.rate, arguments.seconds, Console(width=200))))


if __name__ == "__main__":
    main()
