"""One page that needs nothing else: dashboards under each other, each on its grid. Pure."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

from msgspec import Struct
from plotly.offline import get_plotlyjs

from grafana.preview.dashboard import Dashboard, Row
from grafana.preview.drawing import Answers, Happened, draw_panel, happened, titled
from grafana.preview.view import View

__all__ = ["Shown", "page"]

_MOST_MARKS = 12


class Shown(Struct, frozen=True, kw_only=True):
    """A dashboard, its time range and variables, and InfluxDB's answers."""

    board: Dashboard
    view: View
    answers: Answers


def page(boards: Sequence[Shown]) -> str:
    """The whole page."""
    read = files(__package__).joinpath
    links = "".join(f'<a href="#{one.board.uid}">{escape(one.board.title)}</a>' for one in boards)
    sections = "".join(_section(one, _places(boards)) for one in boards)
    title = escape(", ".join(one.board.title for one in boards))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=1440"><title>fairroll: {title}</title>'
        f'<link rel="icon" href="data:,"><style>{read("page.css").read_text()}</style></head><body>'
        f"<nav><b>fairroll</b>{links}</nav><main>{sections}</main>"
        f"<script>{get_plotlyjs()}</script><script>{read('page.js').read_text()}</script></body></html>\n"
    )


def _places(boards: Sequence[Shown]) -> dict[str, str]:
    """Addresses in Grafana of what this page shows: a dashboard for one value of a variable."""
    return {
        f"/d/{one.board.uid}?var-{name}={value}": f"#{one.board.uid}"
        for one in boards
        for name, value in one.view.chosen.items()
    }


def _section(shown: Shown, places: Mapping[str, str]) -> str:
    board, view = shown.board, shown.view
    marks = happened(board, view, shown.answers)
    inside = "".join(
        _heading(part) if isinstance(part, Row) else titled(part, draw_panel(part, view, shown.answers, marks, places))
        for part in board.panels
    )
    return (
        f'<section id="{board.uid}"><header><h1>{escape(board.title)}</h1><p>{escape(board.description)}</p>'
        f'{_looked_at(shown)}</header><div class="grid">{inside}</div>{_marks(marks, view)}</section>'
    )


def _heading(row: Row) -> str:
    return f'<h2 style="grid-column:1/-1;grid-row:{row.grid_pos.y + 1}">{escape(row.title)}</h2>'


def _looked_at(shown: Shown) -> str:
    """The range and the chosen values."""
    view = shown.view
    since, until = (view.local(at) for at in (view.since_ms, view.until_ms))
    end = f"{until:%H:%M}" if since.date() == until.date() else f"{until:%Y-%m-%d %H:%M}"
    chosen = "".join(
        f"<dt>{escape(variable.label)}</dt><dd>{escape(_value(view, variable.name, variable.all_value))}</dd>"
        for variable in shown.board.variables
    )
    return f"<dl><dt>{until:%Z}</dt><dd>{since:%Y-%m-%d %H:%M} to {end}</dd>{chosen}</dl>"


def _value(view: View, name: str, all_value: str) -> str:
    value = view.chosen[name]
    return "All" if value == all_value else value


def _marks(marks: Sequence[Happened], view: View) -> str:
    """What the dotted lines in the panels are: the newest of them."""
    if not marks:
        return ""
    more = len(marks) - _MOST_MARKS
    rest = f"<li>and {more} before</li>" if more > 0 else ""
    shown = (
        f'<li><i style="border-color:{one.colour}"></i>{view.local(one.at_ms):%H:%M:%S} '
        f"<b>{escape(one.kind)}</b> {escape(one.what)} <span>{escape(one.where)}</span></li>"
        for one in marks[-_MOST_MARKS:]
    )
    return f'<ul class="marks"><li>Marks</li>{rest}{"".join(shown)}</ul>'
