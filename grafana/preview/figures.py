"""Panels over time as plotly's figures. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

import plotly.graph_objects as go

from grafana.preview.dashboard import Heatmap, StateTimeline, TimeSeries
from grafana.preview.lines import Line
from grafana.preview.schema import Defaults
from grafana.preview.values import PALETTE, coloured, suffix, written
from grafana.preview.view import COLUMN_PX, View

__all__ = ["Mark", "figure_of_states", "heatmap_figure", "over_time"]

Mark = tuple[int, str]
"""When, and in which colour."""
_INK, _GRID, _LINE = "#3c4250", "#e6e8ec", "#c3c8d1"
_FEW_POINTS, _MANY_POINTS = 3, 60
_FEW_THINGS = 5
_TICKS_PX, _ROW_PX = 95, 38
_LEAST_BAR_PX, _MOST_STATE_PX, _LETTER_PX = 4, 34, 7
_TEN_MINUTES_MS, _DAY_MS, _WEEK_MS = 600_000, 86_400_000, 604_800_000


def over_time(panel: TimeSeries, view: View, drawn: Sequence[Line], interval_ms: int, marks: Sequence[Mark]) -> Any:
    """Lines, or stacked bars as wide as the interval."""
    custom = panel.shown.custom
    bars = custom.draw_style == "bars"
    is_share = custom.stacking is not None and custom.stacking.mode == "percent"
    figure = _figure(panel, view, marks)
    for number, line in enumerate(drawn):
        colour = PALETTE[number % len(PALETTE)]
        width_ms = max(0.9 * interval_ms, _LEAST_BAR_PX * _ms_a_pixel(panel, view))
        middle_ms = interval_ms // 2
        shape = (middle_ms, width_ms)
        figure.add_traces([_bars(line, view, colour, shape)] if bars else [*_line(line, view, colour, panel.shown)])
    figure.update_layout(barmode="relative", barnorm="percent" if is_share else None)
    figure.update_yaxes(**_scale(panel.shown, drawn, is_share=is_share, is_bars=bars))
    return figure


def _ms_a_pixel(panel: TimeSeries | StateTimeline, view: View) -> float:
    return (view.until_ms - view.since_ms) / (panel.grid_pos.w * COLUMN_PX)


def _bars(line: Line, view: View, colour: str, at: tuple[int, float]) -> go.Bar:
    """A bar covers the interval that it sums. `at`: its middle after the time of its point, and its width."""
    middle_ms, width_ms = at
    return go.Bar(
        name=line.name,
        x=_times(view, [time + middle_ms for time in line.times]),
        y=line.values,
        width=width_ms,
        marker={"color": colour, "line": {"width": 0}},
        opacity=0.9,
    )


def _line(line: Line, view: View, colour: str, shown: Defaults) -> Iterator[go.Scatter]:
    """A trace for each stretch without a gap, since plotly fills across gaps.

    Points are shown where they are few, or alone between gaps, for those have no line.
    """
    points = sum(value is not None for value in line.values)
    size = 8 if points <= _FEW_POINTS else 4
    for stretch in _stretches(line):
        is_shown = points <= _MANY_POINTS or len(stretch.values) == 1
        yield go.Scatter(
            name=line.name,
            x=_times(view, stretch.times),
            y=stretch.values,
            mode="lines+markers" if is_shown else "lines",
            line={"color": colour, "width": 1.6},
            marker={"size": size},
            cliponaxis=False,
            fill="tozeroy" if shown.custom.fill_opacity else None,
            fillcolor=_faint(colour, shown.custom.fill_opacity / 100),
        )


def _stretches(line: Line) -> Iterator[Line]:
    """What lies between gaps."""
    for is_there, group in groupby(zip(line.times, line.values, strict=True), lambda pair: pair[1] is not None):
        if is_there:
            times, values = zip(*group, strict=True)
            yield Line(line.name, list(times), list(values))


def _faint(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def _times(view: View, at: Sequence[int]) -> list[datetime]:
    """Plotly knows no zones: it shows what it is given."""
    return [view.local(one).replace(tzinfo=None) for one in at]


def _scale(shown: Defaults, drawn: Sequence[Line], *, is_share: bool, is_bars: bool) -> dict[str, Any]:
    """Numbers of an axis: bars from 0, lines not below it without need, whole steps for a few whole things."""
    if is_share:
        return {"ticksuffix": " %", "range": [0, 100]}
    values = [value for line in drawn for value in line.values if value is not None]
    tops = [max((value for value in line.values if value is not None), default=0) for line in drawn]
    top = sum(tops) if is_bars else max(tops)
    scale: dict[str, Any] = {"ticksuffix": suffix(shown.unit), "exponentformat": "none"}
    if shown.max is not None:
        scale["range"] = [0, shown.max]
    elif top <= _FEW_THINGS and all(value == round(value) >= 0 for value in values):
        scale |= {"dtick": 1, "range": [0, top + 0.3]}
    elif min(values) >= 0:
        scale["rangemode"] = "tozero" if is_bars else "nonnegative"
    return scale | ({"exponentformat": "e", "minexponent": 1} if shown.unit == "sci" else {})


def figure_of_states(panel: StateTimeline, view: View, drawn: Sequence[Line], marks: Sequence[Mark]) -> Any:
    """Bars from each word to the next; the last until the end."""
    figure = _figure(panel, view, marks, layer="below")
    seen: dict[str, str] = {}
    row_px = (panel.grid_pos.h - 2) * _ROW_PX / len(drawn)
    for line in drawn:
        for state in _states(line, view):
            text = written(state[2], panel.shown)
            seen.setdefault(text, coloured(state[2], panel.shown) or PALETTE[len(seen) % len(PALETTE)])
            wide = (state[1] - state[0]) / _ms_a_pixel(panel, view) > _LETTER_PX * len(text)
            bar = _state(line.name, state, view, text if wide else "", seen[text])
            bar.update(width=min(panel.options.row_height, _MOST_STATE_PX / row_px))
            figure.add_trace(bar.update(hovertemplate=f"{line.name}: {text}<extra></extra>"))
    figure.update_layout(barmode="overlay", hovermode="closest")
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category", tickmode="linear", dtick=1)
    return figure


def _state(name: str, state: tuple[int, int, Any], view: View, text: str, colour: str) -> go.Bar:
    since, until, _ = state
    return go.Bar(
        base=_times(view, [since]),
        x=[until - since],
        y=[name],
        orientation="h",
        marker={"color": colour, "opacity": 0.85, "line": {"width": 1, "color": "white"}},
        text=text,
        textposition="inside",
        insidetextanchor="start",
        textangle=0,
        textfont={"color": "white"},
    )


def _states(line: Line, view: View) -> Iterator[tuple[int, int, Any]]:
    """Equal words in a row are one state, cut to the range; an interval without a word ends it, and is a gap."""
    points = zip(line.times, line.values, strict=True)
    starts = [(next(group)[0], value) for value, group in groupby(points, itemgetter(1))]
    ends = [at for at, _ in starts[1:]] + [view.until_ms]
    for (since, value), until in zip(starts, ends, strict=True):
        if until > view.since_ms and value is not None:
            yield max(since, view.since_ms), until, value


def heatmap_figure(panel: Heatmap, view: View, drawn: Sequence[Line], marks: Sequence[Mark]) -> Any:
    """How many values fell into each cell; an empty one is white."""
    figure = _figure(panel, view, marks)
    figure.add_trace(
        go.Histogram2d(
            x=_times(view, [at for line in drawn for at in line.times]),
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


def _figure(
    panel: TimeSeries | StateTimeline | Heatmap,
    view: View,
    marks: Sequence[Mark],
    *,
    layer: Literal["above", "below"] = "above",
) -> Any:
    """Axes and marks; the legend is HTML below the plot."""
    figure = go.Figure(layout={"template": "none"})
    figure.update_layout(
        margin={"l": 6, "r": 12, "t": 8, "b": 4},
        font={"family": "inherit", "size": 11, "color": _INK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        hovermode="x unified",
        showlegend=False,
        dragmode=False,
        separators=".,",
    )
    axis = {"automargin": True, "gridcolor": _GRID, "linecolor": _LINE, "zerolinecolor": _LINE}
    ticks = {"nticks": panel.grid_pos.w * COLUMN_PX // _TICKS_PX, "tickformat": _clock(view)}
    figure.update_xaxes(
        type="date",
        ticks="outside",
        ticklen=4,
        tickcolor=_LINE,
        range=_times(view, [view.since_ms, view.until_ms]),
        **ticks,
        **axis,
    )
    figure.update_yaxes(separatethousands=True, nticks=6, **axis)
    for at, colour in marks:
        if view.since_ms <= at <= view.until_ms:
            [time] = _times(view, [at])
            figure.add_vline(time, line={"color": colour, "width": 1, "dash": "dot"}, layer=layer)
    return figure


def _clock(view: View) -> str:
    """The day is in the page's heading where it is one."""
    span_ms = view.until_ms - view.since_ms
    if span_ms < _TEN_MINUTES_MS:
        return "%H:%M:%S"
    if span_ms <= _DAY_MS:
        return "%H:%M"
    return "%m-%d %H:%M" if span_ms <= _WEEK_MS else "%Y-%m-%d"
