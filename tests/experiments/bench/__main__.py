"""Prints the figures of the README, as ratios measured side by side."""

import asyncio
import tempfile
from pathlib import Path

from rich.console import Console

from infra.tables import stacked
from tests.experiments.bench import decisions, round_trip, sealing, transport


def main() -> None:
    console = Console()
    console.print(stacked(decisions.table(), sealing.table()))
    console.print()
    with tempfile.TemporaryDirectory(prefix="fairroll-bench-") as folder:
        console.print(stacked(asyncio.run(transport.table(Path(folder))), transport.signatures()))
    console.print()
    with tempfile.TemporaryDirectory(prefix="fairroll-bench-") as folder:
        console.print(asyncio.run(round_trip.table(Path(folder))))


main()
