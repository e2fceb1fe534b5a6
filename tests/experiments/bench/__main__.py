"""Prints the figures of the README, as ratios measured side by side."""

import asyncio
import tempfile
from pathlib import Path

from rich.console import Console

from tests.experiments.bench import decisions, round_trip, sealing


def main() -> None:
    console = Console(width=110)
    console.print(decisions.table())
    console.print(sealing.table())
    with tempfile.TemporaryDirectory(prefix="fairroll-bench-") as folder:
        console.print(asyncio.run(round_trip.table(Path(folder))))


main()
