"""What a run shows: how each segment ended, and a table with a row for each."""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from infra.tables import Table
from tests.experiments.chaos.checker import Verdict

__all__ = ["show", "tell"]

_HEADS = (
    "fault",
    "asked",
    "decided of in Kafka",
    "in time",
    "local rations",
    "lost, doubled, late",
    "longest wait s",
    "longest pause s",
    "",
)
"""Eighty columns hold them. "asked" is the load: those who found a long line and went away did not ask."""


def show(console: Console, title: str, rows: Iterable[tuple[str, Verdict]]) -> None:
    """Print the table."""
    table = Table(*_HEADS, title=title)
    for name, verdict in rows:
        table.add_row(name, *_cells(verdict), Text("ok") if verdict.is_ok else Text("OFF", "bold red"))
    console.print(table)


def tell(console: Console, name: str, verdict: Verdict, restarts: Iterable[str]) -> None:
    """Print how a segment ended, what is off, and what died by itself and was started again."""
    console.print(f"{name}: {'ok' if verdict.is_ok else 'OFF'}")
    for sentence in (*verdict.off, *restarts):
        console.print(f"  {sentence}", markup=False, soft_wrap=True)


def _cells(verdict: Verdict) -> tuple[str, ...]:
    return (
        str(verdict.asked),
        f"{verdict.decided} of {verdict.in_kafka}",
        str(verdict.in_time),
        str(verdict.rations),
        f"{verdict.lost}, {verdict.doubled}, {verdict.late}",
        f"{verdict.longest_s:.2f}",
        f"{verdict.pause_s:.2f}",
    )
