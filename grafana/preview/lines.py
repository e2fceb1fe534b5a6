"""From answers to named series over time, and to rows of tables. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from grafana.answers import Series
from grafana.preview.dashboard import Panel, Table
from grafana.preview.schema import FilterFieldsByName, Merge, Target

__all__ = ["Line", "Rows", "lines", "rows"]

_TIME = "time"


class Line(Struct, frozen=True):
    """One series as it is drawn; times in milliseconds since 1970, values may be None."""

    name: str
    times: list[int]
    values: list[Any]

    @property
    def last(self) -> Any:
        """The newest value that is there, or None."""
        return next((value for value in reversed(self.values) if value is not None), None)


class Rows(Struct, frozen=True):
    """A table."""

    columns: list[str]
    cells: list[dict[str, Any]]


def lines(panel: Panel, answers: Sequence[Sequence[Series]]) -> list[Line]:
    """A line for each value column of each series, named by the target's alias. `answers`: one for each target."""
    return [
        Line(_name(target, series, column), [row[0] for row in series.values], [row[place] for row in series.values])
        for target, answer in zip(panel.targets, answers, strict=True)
        for series in answer
        for place, column in enumerate(series.columns)
        if column != _TIME
    ]


def _name(target: Target, series: Series, column: str) -> str:
    if target.alias:
        words: Mapping[str, str] = {"col": column, **{f"tag_{tag}": value for tag, value in series.tags.items()}}
        return re.sub(r"\$(\w+)", lambda found: words[found[1]], target.alias)
    return " ".join([column, *series.tags.values()])


def rows(panel: Table, answers: Sequence[Sequence[Series]]) -> Rows:
    """What the table shows: its first answer, or all of them merged; columns in the order in which they come."""
    tables = [_flat(answer) for answer in answers]
    shown = _merged(tables) if any(isinstance(step, Merge) for step in panel.transformations) else tables[0]
    steps = [step for step in panel.transformations if isinstance(step, FilterFieldsByName)]
    hidden = {name.lower() for step in steps for name in step.options.exclude.names}
    return Rows([column for column in shown.columns if column not in hidden], shown.cells)


def _flat(answer: Sequence[Series]) -> Rows:
    cells = [
        {**series.tags, **dict(zip(series.columns, row, strict=True))} for series in answer for row in series.values
    ]
    columns = list(dict.fromkeys(name for one in answer for name in (_TIME, *one.tags, *one.columns)))
    return Rows(columns, cells)


def _merged(tables: Sequence[Rows]) -> Rows:
    """Rows that agree in all that their tables share, time apart, are one."""
    columns = list(dict.fromkeys(name for table in tables for name in table.columns))
    filled = [table for table in tables if table.columns]
    shared = [name for name in columns if name != _TIME and all(name in table.columns for table in filled)]
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for table in filled:
        for row in table.cells:
            found.setdefault(tuple(row[name] for name in shared), {}).update(row)
    return Rows(columns, list(found.values()))
