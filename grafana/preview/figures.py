"""Panels over time as plotly's figures. Pure."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import plotly.graph_objects as go

from grafana.preview.dashboard import Heatmap, StateTimeline, TimeSeries
from grafana.preview.lines import Line
from grafana.preview.schema import Defaults
from grafana.preview.values import PALETTE, coloured, suffix, written
from grafana.preview.view import View

__all__ = ["Mark", "figure_of_states", "heatmap_figure", "over_time"]

Mark = tuple[int, str]
"""When, and in which colour."""
_INK, _GRID, _LINE = "#3c4250", "#e6e8ec", "#c3c8d1"
_MANY_POINTS = 60
_TICKS_PX = 95
_COLUMN_PX = 58


def over_time(panel: TimeSeries, view: View, drawn: Sequence[Line], interval_ms: int, marks: Sequence[Mark]) -> Any:
    """Lines, or stacked bars as wide as the interval."""
    custom = panel.shown.custom
    bars = custom.draw_style == "bars"
    is_share = custom.stacking is not None and custom.stacking.mode == "percent"
    figure = _figure(panel, view, marks)
    for number, line in enumerate(drawn):
        colour = PALETTE[number % len(PALETTE)]
        figure.add_trace(_bars(line, view, colour, interval_ms) if bars else _line(line, view, colour, panel.shown))
    figure.update_layout(barmode="relative", barnorm="percent" if is_share else None, bargap=0)
    figure.update_yaxes(**_scale(panel.shown, drawn, is_share=is_share, is_bars=bars))
    return figure


def _bars(line: Line, view: View, colour: str, interval_ms: int) -> go.Bar:
    """A bar stands over the interval that it sums."""
    times = [view.local(at + interval_ms / 2).replace(tzinfo=None) for at in line.times]
    return go.Bar(
        name=line.name,
        x=times,
        y=line.values,
        width=0.9 * interval_ms,
        marker={"color": colour, "line": {"width": 0}},
        opacity=0.9,
    )


def _line(line: Line, view: View, colour: str, shown: Defaults) -> go.Scatter:
    """Points are shown where they are few, for a line of one point cannot be seen."""
    few = len(line.times) <= _MANY_POINTS
    return go.Scatter(
        name=line.name,
        x=[view.local(at).replace(tzinfo=None) for at in line.times],
        y=line.values,
        mode="lines+markers" if few else "lines",
        line={"color": colour, "width": 1.6},
        marker={"size": 4},
        fill="tozeroy" if shown.custom.fill_opacity else None,
        fillcolor=_faint(colour, shown.custom.fill_opacity / 100),
    )


def _faint(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def _scale(shown: Defaults, drawn: Sequence[Line], *, is_share: bool, is_bars: bool) -> dict[str, Any]:
    """Numbers of an axis: from 0 where nothing is below it, whole steps for a few whole things."""
    values = [value for line in drawn for value in line.values if value is not None]
    top = max(values, default=0)
    if is_share:
        return {"ticksuffix": " %", "range": [0, 100]}
    scale: dict[str, Any] = {"ticksuffix": suffix(shown.unit), "rangemode": "tozero" if is_bars else "nonnegative"}
    if min(values, default=0) < 0:
        scale["rangemode"] = "normal"
    if shown.unit == "sci":
        scale |= {"tickformat": ".0e"}
    if shown.max is not None:
        scale |= {"range": [0, shown.max]}
    if top <= 4 and all(value == round(value) for value in values) and not is_bars:  # noqa: PLR2004 - plotly's own steps are finer
        scale |= {"dtick": 1, "range": [min(0, *values, 0), top + 0.5]}
    return scale


def figure_of_states(panel: StateTimeline, view: View, drawn: Sequence[Line], marks: Sequence[Mark]) -> Any:
    """Bars from each word to the next; the last until the end."""
    figure = _figure(panel, view, marks)
    seen: dict[str, str] = {}
    for line in drawn:
        for since, until, value in _states(line, view):
            text = written(value, panel.shown)
            colour = coloured(value, panel.shown) or seen.get(text) or PALETTE[len(seen) % len(PALETTE)]
            seen[text] = colour
            figure.add_trace(
                go.Bar(
                    base=[view.local(since).replace(tzinfo=None)],
                    x=[until - since],
                    y=[line.name],
                    name=text,
                    orientation="h",
                    width=panel.options.row_height,
                    marker={"color": colour, "opacity": 0.85, "line": {"width": 1, "color": "white"}},
                    text=text,
                    textposition="inside",
                    insidetextanchor="start",
                    textfont={"color": "white"},
                    constraintext="inside",
                    hovertemplate=f"{line.name}: {text}<extra></extra>",
                )
            )
    figure.update_layout(barmode="overlay", hovermode="closest")
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    return figure


def _states(line: Line, view: View) -> Iterator[tuple[int, int, Any]]:
    """Equal words in a row are one state, cut to the range."""
    told = [pair for pair in zip(line.times, line.values, strict=True) if pair[1] is not None]
    starts = [(next(group)[0], value) for value, group in groupby(told, itemgetter(1))]
    ends = [at for at, _ in starts[1:]] + [view.until_ms]
    for (since, value), until in zip(starts, ends, strict=True):
        if until > view.since_ms:
            yield max(since, view.since_ms), until, value


def heatmap_figure(panel: Heatmap, view: View, drawn: Sequence[Line], marks: Sequence[Mark]) -> Any:
    """How many values fell into each cell; an empty one is white."""
    figure = _figure(panel, view, marks)
    figure.add_trace(
        go.Histogram2d(
            x=[view.local(at).replace(tzinfo=None) for line in drawn for at in line.times],
            y=[value for line in drawn for value in line.values],
            nbinsx=40,
            nbinsy=16,
            colorscale=[[0, "#ffffff"], [0.001, "#fdd9b4"], [0.3, "#fd9a4e"], [1, "#a63603"]],
            xgap=1,
            ygap=1,
            colorbar={"thickness": 8, "outlinewidth": 0, "title": {"text": "count", "side": "right"}},
            hovertemplate="%{x}<br>%{y}: %{z}<extra></extra>",
        )
    )
    figure.update_layout(hovermode="closest")
    figure.update_yaxes(ticksuffix=suffix(panel.shown.unit), rangemode="nonnegative")
    return figure


def _figure(panel: TimeSeries | StateTimeline | Heatmap, view: View, marks: Sequence[Mark]) -> Any:
    """Axes and marks; the legend stands below, in HTML, where it covers nothing."""
    figure = go.Figure(layout={"template": "none"})
    figure.update_layout(
        margin={"l": 6, "r": 10, "t": 6, "b": 4},
        font={"family": "inherit", "size": 11, "color": _INK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        hovermode="x unified",
        hoverlabel={"font": {"size": 11}},
        showlegend=False,
        dragmode=False,
        separators=".,",
    )
    ends = [view.local(at).replace(tzinfo=None) for at in (view.since_ms, view.until_ms)]
    axis = {"automargin": True, "gridcolor": _GRID, "linecolor": _LINE, "zerolinecolor": _LINE}
    figure.update_xaxes(type="date", range=ends, nticks=panel.grid_pos.w * _COLUMN_PX // _TICKS_PX, **axis)
    figure.update_yaxes(separatethousands=True, nticks=6, **axis)
    for at, colour in marks:
        if view.since_ms <= at <= view.until_ms:
            figure.add_vline(view.local(at).replace(tzinfo=None), line={"color": colour, "width": 1, "dash": "dot"})
    return figure
