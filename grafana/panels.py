"""What a dashboard consists of, as data: panels, rows, variables, annotations; `rendering` makes JSON of it."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

from grafana.queries import Query

__all__ = ["CM", "Annotation", "Board", "Kind", "Panel", "Row", "Step", "Variable"]

CM = "suffix:cm"
"""Grafana has no centimetres of its own."""
Kind = Literal["stat", "lines", "bars", "shares", "gauge", "table", "heatmap", "states"]
"""`bars` are stacked, `shares` stacked to 100 %, a `gauge` is a bar for each series, `states` are a state timeline."""
Step = tuple[float, str]
"""From this value on, this colour."""


@dataclass(frozen=True)
class Panel:
    """A panel. `about` describes what is shown, its readers, and what it does not show."""

    title: str
    about: str
    kind: Kind
    queries: Sequence[Query]
    _: KW_ONLY
    unit: str = "short"
    """one of Grafana's"""
    width: int = 8
    """of 24 columns"""
    height: int = 8
    steps: Sequence[Step] = ()
    """green below the first"""
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """a value's text and colour"""
    units: Mapping[str, str] = field(default_factory=dict)
    """of a table's columns"""
    over: str = ""
    """a time range of its own, such as 3h, instead of the dashboard's"""
    least_interval: str = ""
    """Sums come once a period: a shorter interval would show gaps."""
    most: float | None = None
    """where the axis or the bar ends"""


@dataclass(frozen=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Variable:
    """A template variable; `query` None: a text box with `default`."""

    name: str
    label: str
    query: str | None
    _: KW_ONLY
    multiple: bool = True
    default: str = ""
    about: str = ""


@dataclass(frozen=True)
class Annotation:
    """Marks in every panel over time. Only columns of the answer are read, not the tags that it is grouped by."""

    name: str
    query: Query
    text: str
    """column with the text"""
    tags: Sequence[str]
    """columns with the tags"""
    colour: str


@dataclass(frozen=True)
class Board:
    """A dashboard. Its queries are bounded by those of its variables that are tags."""

    uid: str
    title: str
    about: str
    variables: Sequence[Variable]
    rows: Sequence[Row]
    annotations: Sequence[Annotation] = ()
    _: KW_ONLY
    since: str = "now-6h"

    @property
    def scope(self) -> tuple[str, ...]:
        """The names of the variables that bound tags."""
        return tuple(variable.name for variable in self.variables if variable.query)

    @property
    def panels(self) -> list[Panel]:
        """All of them, in order."""
        return [panel for row in self.rows for panel in row.panels]

    @property
    def ids(self) -> dict[str, int]:
        """The number of each row and panel by its title; Grafana's addresses have them."""
        titles = [title for row in self.rows for title in (row.title, *(panel.title for panel in row.panels))]
        return {title: number for number, title in enumerate(titles, start=1)}
