"""From panels to Grafana's JSON, with the builders of grafana-foundation-sdk.

What the SDK does not do is done here: a query class for InfluxQL, ids of panels, places on the grid of 24 columns.
"""

import json
import warnings
from typing import Any, assert_never

from grafana.panels import Annotation, Board, Kind, Panel, Variable
from grafana.queries import Query, Select

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # its newer schema is still a beta of Grafana's
    from grafana_foundation_sdk.builders import (
        bargauge,
        common,
        dashboard,
        heatmap,
        stat,
        statetimeline,
        table,
        timeseries,
    )
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as words
from grafana_foundation_sdk.models import dashboard as schema

__all__ = ["render"]

_REF_IDS = "ABCDEFGH"
_SOURCE = words.DataSourceRef(type_val="influxdb", uid="${datasource}")
_TO_SITE = {"title": "This site", "url": "/d/fairroll-site?var-site=${__value.raw}&${__url_time_range}"}
_COLUMNS = 24
_ROW_HEIGHT = 1


class _Target(Dataquery, Builder["_Target"]):
    """A query as the data source of InfluxDB reads it; it is its own builder."""

    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def build(self) -> "_Target":
        return self

    def to_json(self) -> dict[str, Any]:
        return self._fields


def render(board: Board) -> str:
    """The dashboard as Grafana imports it, with a line's end."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags(["fairroll"])
        .readonly()
        .refresh("30s")
        .time(board.since, "now")
        .timezone("browser")
        .tooltip(schema.DashboardCursorSync.CROSSHAIR)
        .variables([_data_source(), *(_variable(variable, board) for variable in board.variables)])
        .annotations([_annotation(annotation, board) for annotation in board.annotations])
        .link(_links())
    )
    _place(built, board)
    tree = json.loads(JSONEncoder().encode(built.build()))
    _drop_leftovers(tree)
    return json.dumps(tree, indent=1, sort_keys=True) + "\n"


def _drop_leftovers(tree: dict[str, Any]) -> None:
    """The SDK writes fields of an older schema, which Grafana's current one does not have."""
    for variable in tree["templating"]["list"]:
        for leftover in ("auto", "auto_count", "auto_min"):
            variable.pop(leftover, None)
    for panel in tree["panels"]:
        panel.get("options", {}).pop("footer", None)


def _place(built: dashboard.Dashboard, board: Board) -> None:
    """Rows and panels from left to right, a new line where one is full; ids in that order."""
    x = y = height = 0
    for row in board.rows:
        y += height
        at_row = schema.GridPos(x=0, y=y, w=_COLUMNS, h=_ROW_HEIGHT)
        built.with_row(dashboard.Row(row.title).id(board.ids[row.title]).grid_pos(at_row))
        x, y, height = 0, y + _ROW_HEIGHT, 0
        for panel in row.panels:
            if x + panel.width > _COLUMNS:
                x, y, height = 0, y + height, 0
            at = schema.GridPos(x=x, y=y, w=panel.width, h=panel.height)
            built.with_panel(_panel(panel, board).id(board.ids[panel.title]).grid_pos(at))
            x, height = x + panel.width, max(height, panel.height)


def _panel(panel: Panel, board: Board) -> Any:
    """The builders of the kinds share their methods and no type."""
    builder = _of_kind(panel.kind)
    builder.title(panel.title).description(panel.about).datasource(_SOURCE).unit(panel.unit)
    builder.thresholds(_thresholds(panel))
    if panel.words:
        builder.mappings([_mapping(panel)])
    if panel.over:
        builder.time_from(panel.over)
    if panel.least_interval:
        builder.interval(panel.least_interval)
    if panel.most is not None:
        builder.max(panel.most)
    if panel.kind == "table":
        _as_table(builder, panel)
    if panel.kind == "heatmap":
        builder.y_axis(heatmap.YAxisConfig().unit(panel.unit))
    for ref_id, query in zip(_REF_IDS[: len(panel.queries)], panel.queries, strict=True):
        builder.with_target(_target(query, board, ref_id, as_table=panel.kind == "table"))
    return builder


def _of_kind(kind: Kind) -> Any:
    match kind:
        case "stat":
            shown = stat.Panel().graph_mode(words.BigValueGraphMode.NONE).color_mode(words.BigValueColorMode.VALUE)
            return shown.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        case "lines":
            return _over_time().fill_opacity(8).show_points(words.VisibilityMode.AUTO)
        case "bars":
            return _stacked(words.StackingMode.NORMAL)
        case "shares":
            return _stacked(words.StackingMode.PERCENT)
        case "gauge":
            bars = bargauge.Panel().orientation(words.VizOrientation.HORIZONTAL)
            return bars.display_mode(words.BarGaugeDisplayMode.BASIC).reduce_options(
                common.ReduceDataOptions().calcs(["lastNotNull"])
            )
        case "table":
            return table.Panel().filterable(filterable=True)
        case "heatmap":
            return heatmap.Panel().calculate(calculate=True)
        case "states":
            return statetimeline.Panel().merge_values(merge_values=True).row_height(0.8)
        case _:
            assert_never(kind)


def _over_time() -> timeseries.Panel:
    legend = common.VizLegendOptions().show_legend(show_legend=True).placement(words.LegendPlacement.BOTTOM)
    tooltip = common.VizTooltipOptions().mode(words.TooltipDisplayMode.MULTI)
    return timeseries.Panel().legend(legend.display_mode(words.LegendDisplayMode.LIST)).tooltip(tooltip)


def _stacked(mode: words.StackingMode) -> timeseries.Panel:
    bars = _over_time().draw_style(words.GraphDrawStyle.BARS).fill_opacity(70)
    return bars.stacking(common.StackingConfig().mode(mode).group("all"))


def _as_table(builder: table.Panel, panel: Panel) -> None:
    """One row for several sums over the same tags, without their times."""
    if all(isinstance(query, Select) and query.is_sum for query in panel.queries):
        without_time = {"exclude": {"names": ["Time", "time"]}}
        builder.with_transformation(schema.DataTransformerConfig("filterFieldsByName", options=without_time))
        builder.with_transformation(schema.DataTransformerConfig("merge", options={}))
    for column, unit in panel.units.items():
        builder.override_by_name(column, [schema.DynamicConfigValue("unit", unit)])
    if any("site" in query.by for query in panel.queries):
        builder.override_by_name("site", [schema.DynamicConfigValue("links", [_TO_SITE])])


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    steps = [schema.Threshold(value=None, color="green"), *(schema.Threshold(value=v, color=c) for v, c in panel.steps)]
    return dashboard.ThresholdsConfig().mode(schema.ThresholdsMode.ABSOLUTE).steps(steps)


def _mapping(panel: Panel) -> schema.ValueMap:
    options = {value: schema.ValueMappingResult(text=text, color=c) for value, (text, c) in panel.words.items()}
    return schema.ValueMap(options=options)


def _target(query: Query, board: Board, ref_id: str, *, as_table: bool) -> _Target:
    alias = {"alias": query.alias} if query.alias and not as_table else {}
    return _Target(
        refId=ref_id,
        datasource=_SOURCE,
        rawQuery=True,
        query=query.text(board.scope),
        resultFormat="table" if as_table else "time_series",
        **alias,
    )


def _data_source() -> dashboard.DatasourceVariable:
    return dashboard.DatasourceVariable("datasource").label("Data source").type("influxdb")


def _variable(variable: Variable, board: Board) -> Any:
    if variable.query is None:
        typed = dashboard.TextBoxVariable(variable.name).label(variable.label).description(variable.about)
        return typed.default_value(variable.default).current(_chosen(variable.default, variable.default))
    chosen = (
        dashboard.QueryVariable(variable.name)
        .label(variable.label)
        .description(variable.about or f"Bounds every panel of {board.title}")
        .datasource(_SOURCE)
        .query(variable.query)
        .refresh(schema.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(schema.VariableSort.ALPHABETICAL_ASC)
        .multi(variable.multiple)
        .include_all(variable.multiple)
    )
    return chosen.all_value(".*").current(_chosen("All", "$__all")) if variable.multiple else chosen


def _chosen(text: str, value: str) -> schema.VariableOption:
    return schema.VariableOption(selected=True, text=text, value=value)


def _annotation(annotation: Annotation, board: Board) -> dashboard.AnnotationQuery:
    """The last four fields are not asked for InfluxDB, and required by Grafana's schema."""
    target = _Target(
        refId="Anno",
        query=annotation.query.text(board.scope),
        queryType="tags",
        fromAnnotations=True,
        textColumn=annotation.text,
        tagsColumn=",".join(annotation.tags),
        limit=100,
        matchAny=False,
        tags=[],
        type="tags",
    )
    marks = dashboard.AnnotationQuery().name(annotation.name).datasource(_SOURCE).target(target)
    return marks.enable(enable=True).icon_color(annotation.colour)


def _links() -> dashboard.DashboardLink:
    """To the other dashboards, with the same site and the same time."""
    links = dashboard.DashboardLink("fairroll").type(schema.DashboardLinkType.DASHBOARDS).tags(["fairroll"])
    return links.as_dropdown(as_dropdown=False).include_vars(include_vars=True).keep_time(keep_time=True)
