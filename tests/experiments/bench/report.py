"""Runs of the bench as a table, as JSON, as docs/benchmarks.md with its history, and as a picture."""

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

import msgspec
from matplotlib.figure import Figure
from msgspec import Struct

from infra.tables import Table
from tests.experiments.bench.parts import Part

__all__ = ["Run", "record", "table"]

_HISTORY = (
    "drain: decider",
    "workers: two",
    "latency p50 at 50/s: fairroll",
    "latency p99 at 50/s: fairroll",
    "ingress: this",
    "egress: this",
)
"""Ratios that docs/benchmarks.md lists by commit."""
_INTRO = """# Benchmarks

`make bench` measures; `make bench RECORD=1` writes this page, [benchmarks.json](benchmarks.json) and the picture. The
figures of one part are taken in turns of one run: compare them with each other, not with another machine's. A value is
the median of the turns, with the least and the greatest behind it; a ratio is taken turn by turn.

![Benchmarks](benchmarks.svg)
"""


class Run(Struct, frozen=True):
    """All parts that were measured on one commit."""

    commit: str
    date: str
    machine: str
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, date: str, parts: Iterable[Part]) -> "Run":
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        )
        machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
        return cls(commit.stdout.strip(), date, machine, tuple(parts))


def table(part: Part) -> Table:
    """A part for the terminal."""
    rows = Table("", part.unit, "to the base" if part.base else "", title=f"{part.name}: {part.title}")
    for cells in _cells(part):
        rows.add_row(*cells)
    return rows


def record(run: Run, docs: Path) -> None:
    """Add a run to the history, in place of an earlier one of its commit, and write page and picture."""
    history = docs / "benchmarks.json"
    runs = msgspec.json.decode(history.read_bytes(), type=list[Run]) if history.exists() else []
    runs = [run, *(earlier for earlier in runs if earlier.commit != run.commit)]
    history.write_bytes(msgspec.json.format(msgspec.json.encode(runs), indent=1) + b"\n")
    (docs / "benchmarks.md").write_text(_page(runs))
    _picture(run).savefig(docs / "benchmarks.svg", metadata={"Date": None})


def _page(runs: Sequence[Run]) -> str:
    last = runs[0]
    sections = [_INTRO, f"## Commit {last.commit}, {last.date}\n\n{last.machine}.\n"]
    for part in last.parts:
        rows = [("", part.unit, "to the base" if part.base else ""), ("---", "---:", "---:"), *_cells(part)]
        lines = "\n".join("| " + " | ".join(cells) + " |" for cells in rows) if part.rows else ""
        sections.append(
            f"### {part.name}\n\n{part.title[:1].upper()}{part.title[1:]}. {part.note}".rstrip() + f"\n\n{lines}\n"
        )
    heads = ("commit", "date", *_HISTORY)
    history = [heads, ("---",) * len(heads), *((run.commit, run.date, *_compared(run)) for run in runs)]
    sections.append("## History\n\nRatios to the base.\n")
    sections.append("\n".join("| " + " | ".join(cells) + " |" for cells in history) + "\n")
    return "\n".join(sections)


def _cells(part: Part) -> list[tuple[str, str, str]]:
    return [(row.name, _spread(row.values), _spread(part.ratios(row), 2)) for row in part.rows]


def _compared(run: Run) -> list[str]:
    found = {f"{part.name}: {row.name}": part.ratios(row) for part in run.parts for row in part.rows}
    return [f"{median(found[name]):.2f}" if found.get(name) else "" for name in _HISTORY]


def _spread(values: Sequence[float], digits: int | None = None) -> str:
    if not values:
        return ""
    middle, least, greatest = (_number(value, digits) for value in (median(values), min(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({least} to {greatest})"


def _number(value: float, digits: int | None) -> str:
    digits = (0 if value >= 100 else 1) if digits is None else digits
    return f"{value:,.{digits}f}"


def _picture(run: Run) -> Figure:
    parts = [part for part in run.parts if part.rows]
    figure = Figure(figsize=(8, 0.6 + sum(0.5 + 0.3 * len(part.rows) for part in parts)), layout="constrained")
    axes = figure.subplots(len(parts), squeeze=False, height_ratios=[1 + len(part.rows) for part in parts])
    for part, axis in zip(parts, axes[:, 0], strict=True):
        names, middles = [row.name for row in part.rows], [row.median for row in part.rows]
        around = [
            [row.median - min(row.values) for row in part.rows],
            [max(row.values) - row.median for row in part.rows],
        ]
        axis.barh(names, middles, xerr=around, color="#4c78a8", height=0.6)
        axis.invert_yaxis()
        axis.set_title(f"{part.name}, {part.unit}", loc="left", fontsize=9)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    return figure
