"""Prints the figures of the README, as ratios measured side by side."""

import asyncio
import tempfile
from pathlib import Path

from rich.console import Console

from infra.tables import stacked
from tests.experiments.bench import bridges, decisions, round_trip, sealing, transport


def main() -> None:
    console = Console()
    console.print(stacked(decisions.table(), sealing.table()))
    for measure in (transport.table, round_trip.table, bridges.table):
        console.print()
        with tempfile.TemporaryDirectory(prefix="fairroll-bench-") as folder:
            console.print(asyncio.run(measure(Path(folder))))
    console.print(transport.signatures())


main()
