"""What a run shows: how each segment ended, and a table with a row for each."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from tests.experiments.chaos.checker import Verdict

__all__ = ["show", "tell"]

# who "went away" found a long line and did not ask: the load is what "asked" says
_COLUMNS = (
    "went away",
    "asked",
    "in Kafka",
    "decided",
    "answered in time",
    "local rations",
    "lost",
    "doubled",
    "late",
    "longest wait (s)",
    "longest pause (s)",
)


def show(console: Console, title: str, rows: Iterable[tuple[str, Verdict]]) -> None:
    """Print the table."""
    table = Table("fault", title=title, title_justify="left")
    for column in _COLUMNS:
        table.add_column(column, justify="right")
    table.add_column("")
    rows = list(rows)
    for name, verdict in rows:
        table.add_row(name, *_cells(verdict), "ok" if verdict.is_ok else "[bold red]OFF[/]")
    console.print(table)


def tell(console: Console, name: str, verdict: Verdict, restarts: Iterable[str]) -> None:
    """Print how a segment ended, what is off, and what died by itself and was started again."""
    console.print(f"{name}: {'ok' if verdict.is_ok else 'OFF'}")
    for sentence in (*verdict.off, *restarts):
        console.print(f"  {sentence}", markup=False, soft_wrap=True)


def _cells(verdict: Verdict) -> list[str]:
    counts = (
        verdict.went,
        verdict.asked,
        verdict.in_kafka,
        verdict.decided,
        verdict.in_time,
        verdict.rations,
        verdict.lost,
        verdict.doubled,
        verdict.late,
    )
    return [*(str(count) for count in counts), f"{verdict.longest_s:.2f}", f"{verdict.pause_s:.2f}"]
