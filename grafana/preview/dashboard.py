"""A dashboard's JSON, as far as our dashboards use Grafana's schema.

Whatever is not here cannot be drawn, and is refused by its name: a preview that silently leaves something out would be
believed.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from grafana.preview.schema import (
    BarGaugeOptions,
    Closed,
    Defaults,
    FieldConfig,
    FilterFieldsByName,
    GridPos,
    HeatmapOptions,
    Merge,
    Options,
    StateOptions,
    StatOptions,
    TableOptions,
    Target,
)
from models.errors import ConfigError

__all__ = [
    "Annotation",
    "BarGauge",
    "Dashboard",
    "Heatmap",
    "Panel",
    "Row",
    "Stat",
    "StateTimeline",
    "Table",
    "TimeSeries",
    "Variable",
    "read_dashboard",
]


class Row(Closed, frozen=True, tag_field="type", tag="row"):
    """A heading."""

    id: int
    title: str
    grid_pos: GridPos
    collapsed: Literal[False] = False
    panels: list[Any] = field(default_factory=list)


class _Panel(Closed, frozen=True, tag_field="type", kw_only=True):
    id: int
    title: str
    description: str
    grid_pos: GridPos
    field_config: FieldConfig
    targets: list[Target]
    interval: str = "1ms"
    """no bar or point is to be shorter than this"""
    time_from: str = ""
    """a span of its own, up to now"""
    transformations: list[FilterFieldsByName | Merge] = field(default_factory=list)
    datasource: Any = None
    transparent: Literal[False] = False
    repeat_direction: Any = None

    @property
    def shown(self) -> Defaults:
        """How values are shown."""
        return self.field_config.defaults


class Stat(_Panel, frozen=True, tag="stat"):
    """One big number for each series."""

    options: StatOptions


class TimeSeries(_Panel, frozen=True, tag="timeseries"):
    """Lines or bars over time."""

    options: Options


class BarGauge(_Panel, frozen=True, tag="bargauge"):
    """One bar for each series."""

    options: BarGaugeOptions


class Table(_Panel, frozen=True, tag="table"):
    """Rows and columns."""

    options: TableOptions


class StateTimeline(_Panel, frozen=True, tag="state-timeline"):
    """States over time."""

    options: StateOptions


class Heatmap(_Panel, frozen=True, tag="heatmap"):
    """How often which value was seen when."""

    options: HeatmapOptions


Panel = Stat | TimeSeries | BarGauge | Table | StateTimeline | Heatmap


class Chosen(Struct, frozen=True):
    """A value of a variable."""

    value: str


class Variable(Struct, frozen=True, rename="camel"):
    """A template variable."""

    type: Literal["datasource", "query", "textbox"]
    name: str
    label: str
    query: str
    all_value: str = ""
    current: Chosen | None = None

    @property
    def preset(self) -> str:
        """Its value where nothing is chosen; empty: the first that its query lists."""
        if self.current is None:
            return ""
        return self.all_value if self.current.value == "$__all" else self.current.value


class Marks(Struct, frozen=True, rename="camel"):
    """What an annotation asks for."""

    query: str
    text_column: str
    tags_column: str
    limit: int


class Annotation(Struct, frozen=True, rename="camel"):
    """Marks in every panel over time."""

    name: str
    icon_color: str
    target: Marks
    enable: Literal[True]
    hide: Literal[False]


class _Annotations(Struct, frozen=True):
    list: list[Annotation]


class _Templating(Struct, frozen=True):
    list: list[Variable]


class _Times(Struct, frozen=True, rename={"since": "from", "until": "to"}):
    since: str
    until: str


class Dashboard(Struct, frozen=True):
    """What is drawn of a dashboard."""

    uid: str
    title: str
    description: str
    panels: list[Row | Panel]
    time: _Times
    annotations: _Annotations
    templating: _Templating

    @property
    def variables(self) -> list[Variable]:
        """What is chosen, in order; the data source is the live InfluxDB."""
        return [variable for variable in self.templating.list if variable.type != "datasource"]


def read_dashboard(name: str, text: str | bytes) -> Dashboard:
    """Of a file named `name`. Raises ConfigError naming what the preview cannot draw, and its place."""
    try:
        return msgspec.json.decode(text, type=Dashboard)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{name}: the preview cannot draw this dashboard: {error}") from None
