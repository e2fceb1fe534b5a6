"""The parts of a panel's JSON, as far as our dashboards use Grafana's schema; whatever is not here is refused."""

from typing import Any, Literal

from msgspec import Struct, field

__all__ = [
    "BarGaugeOptions",
    "Closed",
    "Defaults",
    "FieldConfig",
    "FilterFieldsByName",
    "GridPos",
    "HeatmapOptions",
    "Link",
    "LinksProperty",
    "Merge",
    "Options",
    "StatOptions",
    "StateOptions",
    "Step",
    "TableOptions",
    "Target",
    "UnitProperty",
]


class Closed(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """An unknown field is an error."""


class GridPos(Closed, frozen=True):
    """Of 24 columns; a row of the grid is 30 pixels high, and 8 apart from the next."""

    x: int
    y: int
    w: int
    h: int


class Target(Closed, frozen=True):
    """A query."""

    ref_id: str
    query: str
    raw_query: Literal[True]
    result_format: Literal["time_series", "table"]
    datasource: Any
    alias: str = ""


class Step(Closed, frozen=True):
    """From this value on, this colour; None: below all others."""

    value: float | None
    color: str


class Thresholds(Closed, frozen=True):
    """In order."""

    mode: Literal["absolute"]
    steps: list[Step]


class Word(Closed, frozen=True):
    """What is shown in a value's place."""

    text: str
    color: str


class Mapping(Closed, frozen=True):
    """Words by value."""

    type: Literal["value"]
    options: dict[str, Word]


class Stacking(Closed, frozen=True):
    """How series are added up."""

    mode: Literal["normal", "percent"]
    group: Literal["all"]


class Custom(Closed, frozen=True):
    """How a series is drawn."""

    draw_style: Literal["line", "bars"] = "line"
    fill_opacity: float = 0
    line_width: float = 1
    show_points: Literal["auto"] = "auto"
    stacking: Stacking | None = None
    align: Literal["auto"] = "auto"
    filterable: bool = False
    inspect: Literal[False] = False


class Defaults(Closed, frozen=True):
    """What holds for every value of a panel."""

    unit: str
    thresholds: Thresholds
    custom: Custom = field(default_factory=Custom)
    mappings: list[Mapping] = field(default_factory=list)
    max: float | None = None
    no_value: str = "No data"

    @property
    def words(self) -> dict[str, Word]:
        """By value."""
        return {value: word for mapping in self.mappings for value, word in mapping.options.items()}


class Link(Closed, frozen=True):
    """Where a value leads to."""

    title: str
    url: str


class UnitProperty(Closed, frozen=True, tag_field="id", tag="unit"):
    """A column's unit."""

    value: str


class LinksProperty(Closed, frozen=True, tag_field="id", tag="links"):
    """A column's links."""

    value: list[Link]


class Matcher(Closed, frozen=True):
    """A column."""

    id: Literal["byName"]
    options: str


class Override(Closed, frozen=True):
    """What holds for one column."""

    matcher: Matcher
    properties: list[UnitProperty | LinksProperty]


class FieldConfig(Closed, frozen=True):
    """How values are shown."""

    defaults: Defaults
    overrides: list[Override] = field(default_factory=list)


class Names(Closed, frozen=True):
    """Of columns."""

    names: list[str]


class Filter(Closed, frozen=True):
    """Columns that are left out."""

    exclude: Names


class FilterFieldsByName(Closed, frozen=True, tag_field="id", tag="filterFieldsByName"):
    """Leaves columns out."""

    options: Filter


class Merge(Closed, frozen=True, tag_field="id", tag="merge"):
    """Makes one row of the rows of several answers that agree in the columns that they share."""

    options: dict[str, None] = field(default_factory=dict)


class Legend(Closed, frozen=True):
    """The names of series."""

    show_legend: bool = False
    display_mode: Literal["list"] = "list"
    placement: Literal["bottom"] = "bottom"
    calcs: list[None] = field(default_factory=list)
    show: bool = True


class ReduceOptions(Closed, frozen=True):
    """How a series becomes one number."""

    calcs: tuple[Literal["lastNotNull"]]


class Options(Closed, frozen=True):
    """Of all kinds of panels."""

    legend: Legend = field(default_factory=Legend)
    tooltip: Any = None


class StatOptions(Closed, frozen=True):
    """One big number for each series."""

    reduce_options: ReduceOptions
    color_mode: Literal["value"]
    graph_mode: Literal["none"]
    text_mode: Literal["auto"] = "auto"
    orientation: Literal["auto"] = "auto"
    justify_mode: Literal["auto"] = "auto"
    show_percent_change: Literal[False] = False
    percent_change_color_mode: Any = None
    wide_layout: Any = None


class BarGaugeOptions(Options, frozen=True, kw_only=True):
    """One bar for each series."""

    reduce_options: ReduceOptions
    orientation: Literal["horizontal"]
    display_mode: Literal["basic"]
    value_mode: Literal["color"] = "color"
    show_unfilled: Literal[True] = True
    name_placement: Literal["auto"] = "auto"
    sizing: Literal["auto"] = "auto"
    min_viz_width: Any = None
    min_viz_height: Any = None
    max_viz_height: Any = None


class TableOptions(Closed, frozen=True):
    """Rows and columns."""

    show_header: Literal[True] = True
    frame_index: Literal[0] = 0
    cell_height: Literal["sm"] = "sm"
    show_type_icons: Literal[False] = False


class StateOptions(Options, frozen=True):
    """A line of bars for each series."""

    merge_values: Literal[True] = True
    align_value: Literal["left"] = "left"
    row_height: float = 0.8
    show_value: Literal["auto"] = "auto"
    per_page: Any = None


class HeatmapOptions(Options, frozen=True):
    """Counts of values in cells of time and value. Colours are Oranges, their steps and gaps plotly's."""

    calculate: Literal[True] = True
    color: Any = None
    cell_gap: Any = None
    exemplars: Any = None
    filter_values: Any = None
    selection_mode: Any = None
    show_value: Any = None
    y_axis: Any = None
