"""Panels without an axis, and the frame of all panels, as HTML. Pure."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle

from grafana.preview.dashboard import BarGauge, Stat, Table
from grafana.preview.lines import Line, Rows
from grafana.preview.schema import LinksProperty, UnitProperty
from grafana.preview.values import coloured, written
from grafana.preview.view import View

__all__ = ["bars", "big_numbers", "legend", "nothing", "table"]

_MOST_ROWS = 24
_MOST_NAMES = 16
_MANY_BARS = 14


def nothing(text: str) -> str:
    """A panel whose queries found nothing."""
    return f'<p class="nothing">{escape(text)}</p>'


def big_numbers(panel: Stat, drawn: Sequence[Line]) -> str:
    """The last value of each series; its name where there are several."""
    named = len(drawn) > 1
    numbers = (
        f'<div class="number"{_tall(drawn)}>'
        + (f"<span>{escape(line.name)}</span>" if named else "")
        + f'<b style="color:{coloured(line.last, panel.shown)}">{escape(_number(panel, line))}</b></div>'
        for line in drawn
    )
    return f'<div class="numbers">{"".join(numbers)}</div>'


def _tall(drawn: Sequence[Line]) -> str:
    return "" if len(drawn) > 1 else ' style="font-size:2.1rem"'


def _number(panel: Stat | BarGauge, line: Line) -> str:
    return panel.shown.no_value if line.last is None else written(line.last, panel.shown)


def bars(panel: BarGauge, drawn: Sequence[Line]) -> str:
    """A bar from 0 for each series, all on one scale; many are set in two columns."""
    values = [line.last for line in drawn if line.last is not None]
    low, high = min(0, *values), max(0, *values) if panel.shown.max is None else panel.shown.max
    rows = (
        f'<div class="bar"><span title="{escape(line.name)}">{escape(line.name)}</span>'
        f"<i>{_filled(panel, line, low, high)}</i>"
        f'<b style="color:{coloured(line.last, panel.shown)}">{escape(_number(panel, line))}</b></div>'
        for line in drawn
    )
    return f'<div class="bars{" many" if len(drawn) > _MANY_BARS else ""}">{"".join(rows)}</div>'


def _filled(panel: BarGauge, line: Line, low: float, high: float) -> str:
    if line.last is None:
        return ""
    width = (high - low) or 1
    left, length = 100 * (min(line.last, 0) - low) / width, 100 * abs(line.last) / width
    return f'<u style="left:{left:.1f}%;width:{length:.1f}%;background:{coloured(line.last, panel.shown)}"></u>'


def table(panel: Table, shown: Rows, view: View, places: Mapping[str, str]) -> str:
    """Rows and columns. `places`: by the address that a cell links to, the place on this page; others lead nowhere."""
    head = "".join(f"<th{_right(name, shown)}>{escape(name)}</th>" for name in shown.columns)
    body = "".join(_row(panel, row, shown, view, places) for row in shown.cells[:_MOST_ROWS])
    more = len(shown.cells) - _MOST_ROWS
    rest = f'<p class="more">and {more} more rows</p>' if more > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}"


def _row(panel: Table, row: Mapping[str, object], shown: Rows, view: View, places: Mapping[str, str]) -> str:
    cells = (
        f"<td{_right(name, shown)}>{_cell(panel, name, row.get(name), view, places)}</td>" for name in shown.columns
    )
    return f"<tr>{''.join(cells)}</tr>"


def _right(name: str, shown: Rows) -> str:
    """Numbers stand under each other."""
    values = [row[name] for row in shown.cells if row.get(name) is not None]
    numbers = name != "time" and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return ' class="right"' if values and numbers else ""


def _cell(panel: Table, name: str, value: object, view: View, places: Mapping[str, str]) -> str:
    properties = [p for over in panel.field_config.overrides if over.matcher.options == name for p in over.properties]
    if name == "time" and isinstance(value, int):
        return f"{view.local(value):%Y-%m-%d %H:%M:%S}"
    unit = next((p.value for p in properties if isinstance(p, UnitProperty)), "")
    text = escape(written(value, panel.shown, unit))
    links = [link for p in properties if isinstance(p, LinksProperty) for link in p.value]
    for link in links:
        address = link.url.replace("${__value.raw}", str(value)).partition("&")[0]
        if address in places:
            return f'<a href="{places[address]}" title="{escape(link.title)}">{text}</a>'
    colour = coloured(value, panel.shown) if text and isinstance(value, bool) else ""
    return f'<span style="color:{colour}">{text}</span>' if colour else text


def legend(names: Sequence[str], palette: Sequence[str]) -> str:
    """Colours and names."""
    colours = cycle(palette)
    shown = (
        f'<li><i style="background:{colour}"></i>{escape(name)}</li>'
        for name, colour in zip(names[:_MOST_NAMES], colours, strict=False)
    )
    more = len(names) - _MOST_NAMES
    rest = f"<li>and {more} more</li>" if more > 0 else ""
    return f'<ul class="legend">{"".join(shown)}{rest}</ul>'
