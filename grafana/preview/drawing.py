"""From a panel and its query results to HTML and figures. Pure."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, assert_never

from msgspec import Struct

from grafana.answers import Answer, Refused
from grafana.preview import blocks
from grafana.preview.dashboard import (
    Annotation,
    BarGauge,
    Dashboard,
    Heatmap,
    Panel,
    Row,
    Stat,
    StateTimeline,
    Table,
    TimeSeries,
)
from grafana.preview.figures import Mark, figure_of_states, heatmap_figure, over_time
from grafana.preview.lines import Line, lines, rows
from grafana.preview.values import PALETTE, colour_of
from grafana.preview.view import View, asked, asked_for_marks, interval_ms, of_panel

__all__ = ["Answers", "Drawing", "Happened", "draw_panel", "happened", "statements", "titled"]

Answers = Mapping[str, Answer]
"""By statement."""


class Happened(Struct, frozen=True):
    """A mark of an annotation."""

    at_ms: int
    what: str
    where: str
    kind: str
    colour: str

    @property
    def mark(self) -> Mark:
        """As figures take it."""
        return self.at_ms, self.colour


class Drawing(Struct, frozen=True):
    """HTML, and the figure that is drawn in its element `plot`."""

    html: str
    figure: Any = None


def statements(board: Dashboard, view: View) -> list[str]:
    """All that has to be asked for a dashboard, each once."""
    panels = [panel for panel in board.panels if not isinstance(panel, Row)]
    of_panels = [asked(panel, target, view) for panel in panels for target in panel.targets]
    return list(dict.fromkeys([*of_panels, *(asked_for_marks(marks, view) for marks in board.annotations.list)]))


def happened(board: Dashboard, view: View, answers: Answers) -> list[Happened]:
    """The marks, the oldest first; of each annotation as many as Grafana shows."""
    found = [
        _happened(annotation, dict(zip(series.columns, row, strict=True)))
        for annotation in board.annotations.list
        if not isinstance(answer := answers[asked_for_marks(annotation, view)], Refused)
        for series in answer
        for row in series.values[: annotation.target.limit]
    ]
    return sorted(found, key=lambda one: one.at_ms)


def _happened(annotation: Annotation, row: Mapping[str, Any]) -> Happened:
    target = annotation.target
    tags = [name for name in target.tags_column.split(",") if row.get(name) is not None]
    what, where = _told(target.text_column, row), ", ".join(_told(name, row) for name in tags)
    return Happened(row["time"], what, where, annotation.name, colour_of(annotation.icon_color))


def _told(name: str, row: Mapping[str, Any]) -> str:
    """Return whether the value needs a label; a word does not."""
    return row[name] if isinstance(row[name], str) else f"{name} {row[name]}"


def draw_panel(
    panel: Panel, view: View, answers: Answers, marks: Sequence[Happened], places: Mapping[str, str]
) -> Drawing:
    """A panel's inside; `places` as in `blocks.table`."""
    seen = of_panel(panel, view)
    answered = [answers[asked(panel, target, view)] for target in panel.targets]
    if refused := [answer.why for answer in answered if isinstance(answer, Refused)]:
        return Drawing(blocks.nothing(f"{panel.shown.no_value}: {refused[0]}"))
    readable = [answer for answer in answered if not isinstance(answer, Refused)]
    drawn = lines(panel, readable)
    if not any(value is not None for line in drawn for value in line.values):
        return Drawing(blocks.nothing(panel.shown.no_value))
    at = [one.mark for one in marks]
    match panel:
        case Stat():
            return Drawing(blocks.big_numbers(panel, drawn))
        case BarGauge():
            return Drawing(blocks.bars(panel, drawn))
        case Table():
            return Drawing(blocks.table(panel, rows(panel, readable), seen, places))
        case TimeSeries():
            return _plot(over_time(panel, seen, drawn, interval_ms(panel, view), at), _names(panel, drawn))
        case StateTimeline():
            return _plot(figure_of_states(panel, seen, drawn, at), "")
        case Heatmap():
            return _plot(heatmap_figure(panel, seen, drawn, at), "")
        case _:
            assert_never(panel)


def _names(panel: TimeSeries, drawn: Sequence[Line]) -> str:
    if not panel.options.legend.show_legend:
        return ""
    return blocks.legend([line.name for line in drawn], PALETTE)


def _plot(figure: Any, below: str) -> Drawing:
    return Drawing(f'<div class="plot"></div>{below}', figure)


def titled(panel: Panel, drawing: Drawing) -> str:
    """A panel at its place on the grid, with its heading."""
    at = panel.grid_pos
    span = f"<small>last {escape(panel.time_from)}</small>" if panel.time_from else ""
    place = f"grid-column:{at.x + 1}/span {at.w};grid-row:{at.y + 1}/span {at.h};--rows:{at.h}"
    head = f'<h3 title="{escape(panel.description)}">{escape(panel.title)}{span}</h3>'
    return f'<article class="panel" style="{place}">{head}{drawing.html}{_data(drawing)}</article>'


def _data(drawing: Drawing) -> str:
    """The figure; nothing in it can end its script."""
    if drawing.figure is None:
        return ""
    text = drawing.figure.to_json().replace("</", "<\\/")
    return f'<script type="application/json" class="figure">{text}</script>'
