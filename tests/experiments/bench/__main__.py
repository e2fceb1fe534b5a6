"""`make bench`: how fast it answers, in ratios that are measured side by side."""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console

from infra.tables import Table
from tests.experiments.bench import transport
from tests.experiments.bench.bridges import bridges
from tests.experiments.bench.decisions import fold
from tests.experiments.bench.drain import drain, workers
from tests.experiments.bench.parts import Part
from tests.experiments.bench.recovery import recovery
from tests.experiments.bench.report import Run, record, table
from tests.experiments.bench.round_trip import latency
from tests.experiments.bench.sealing import sealing

_DOCS = Path(__file__).parents[3] / "docs"
_Measure = Callable[[Path, int], Awaitable[list[Part]] | Awaitable[list[Table]]]
"""A part, measured in a folder and so many turns. A table of its own is shown, not recorded."""


async def _fold(_: Path, __: int) -> list[Part]:
    return fold()


async def _sealing(_: Path, __: int) -> list[Part]:
    return sealing()


async def _transport(folder: Path, turns: int) -> list[Table]:
    return [await transport.table(folder, turns), transport.signatures()]


_PARTS: dict[str, _Measure] = {
    "fold": _fold,
    "sealing": _sealing,
    "transport": _transport,
    "latency": latency,
    "bridges": bridges,
    "drain": drain,
    "workers": workers,
    "recovery": recovery,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.experiments.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(_PARTS)}; all without")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--before", type=Path, help="another tree, whose decider drains next to this one's")
    parser.add_argument("--record", action="store_true", help="write docs/benchmarks.md, .json and .svg")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - _PARTS.keys():
        parser.error(f"no part {', '.join(sorted(unknown))}: there are {', '.join(_PARTS)}")
    return arguments


async def _measured(arguments: argparse.Namespace, console: Console) -> list[Part]:
    parts = []
    for name in arguments.parts or _PARTS:
        measure = partial(drain, before=arguments.before) if name == "drain" else _PARTS[name]
        with tempfile.TemporaryDirectory(prefix="fairroll-bench-") as folder:
            for part in await measure(Path(folder), arguments.turns):
                if isinstance(part, Part):
                    console.print(table(part), *filter(None, [part.note]), "", sep="\n")
                    parts.append(part)
                else:
                    console.print(part, "", sep="\n")
    return parts


def main() -> None:
    arguments = _arguments()
    parts = asyncio.run(_measured(arguments, Console()))
    if arguments.record:
        record(Run.of(datetime.now(UTC).date().isoformat(), parts), _DOCS)


main()
