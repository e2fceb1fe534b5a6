"""What a run shows: a row a fault, and below it what is off."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from tests.chaos.checker import Verdict

__all__ = ["show"]

_COLUMNS = (
    "asked",
    "in Kafka",
    "decided",
    "answered in time",
    "local rations",
    "lost",
    "doubled",
    "late",
    "longest wait (s)",
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
    for name, verdict in rows:
        for sentence in verdict.off:
            console.print(f"{name}: {sentence}", markup=False, soft_wrap=True)


def _cells(verdict: Verdict) -> list[str]:
    counts = (
        verdict.asked,
        verdict.in_kafka,
        verdict.decided,
        verdict.in_time,
        verdict.rations,
        verdict.lost,
        verdict.doubled,
        verdict.late,
    )
    return [*(str(count) for count in counts), f"{verdict.longest_s:.2f}"]
