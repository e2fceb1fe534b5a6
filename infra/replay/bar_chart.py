"""A bar chart of hours, recorded and trial, as SVG, without a drawing library."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from typing import Final, NamedTuple

from infra.local_time import iso_hour
from models.replay.trial_totals import TrialCounts

__all__ = ["picture"]

_WIDTH, _HEIGHT = 960, 600
_LEFT, _RIGHT = 70, 24
_PANEL_TOPS, _PANEL_HEIGHT = (132, 368), 160
_MOST_LABELS, _LINES = 6, 4
_THEN, _TRIED = "#a9b4c0", "#0f6e84"
_INK, _FAINT, _GRID = "#1f2933", "#66727f", "#e6eaee"
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


class _Panel(NamedTuple):
    title: str
    then: Sequence[float]
    tried: Sequence[float]


def picture(title: str, hours: Mapping[int, TrialCounts], note: str) -> str:
    """Draw grants and refusals by hour as SVG; `hours` by their starts, milliseconds since 1970."""
    cells, times = list(hours.values()), list(hours)
    panels = (
        _Panel("Paper granted, metres", [c.cm_recorded / 100 for c in cells], [c.cm_trial / 100 for c in cells]),
        _Panel("Refusals", [c.refused_recorded for c in cells], [c.refused_trial for c in cells]),
    )
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="{_FONT}">',
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
            _text(_LEFT, 44, title, size=22, weight=600),
            *_legend(),
            *(line for top, panel in zip(_PANEL_TOPS, panels, strict=True) for line in _panel(panel, top, times)),
            _text(_LEFT, _HEIGHT - 22, note, size=12, fill=_FAINT),
            "</svg>\n",
        )
    )


def _legend() -> Iterator[str]:
    for x, colour, words in ((_LEFT, _THEN, "recorded"), (_LEFT + 104, _TRIED, "trial")):
        yield f'<rect x="{x}" y="66" width="12" height="12" rx="2" fill="{colour}"/>'
        yield _text(x + 20, 77, words, size=13, fill=_FAINT)


def _panel(panel: _Panel, top: int, times: Sequence[int]) -> Iterator[str]:
    bottom, step = top + _PANEL_HEIGHT, _step(max((*panel.then, *panel.tried, 1)))
    highest = step * max(1, ceil(max((*panel.then, *panel.tried, step)) / step))
    yield _text(_LEFT, top - 16, panel.title, size=14, weight=600)
    for number in range(round(highest / step) + 1):
        y = bottom - _PANEL_HEIGHT * number * step / highest
        yield f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_GRID}"/>'
        yield _text(_LEFT - 10, y + 4, f"{number * step:,.10g}", size=12, fill=_FAINT, anchor="end")
    slot = (_WIDTH - _LEFT - _RIGHT) / max(len(times), 1)
    bar = min(slot * 0.36, 34)
    for place, pair in enumerate(zip(panel.then, panel.tried, strict=True)):
        middle = _LEFT + slot * (place + 0.5)
        for x, value, colour in zip((middle - bar, middle), pair, (_THEN, _TRIED), strict=True):
            height = _PANEL_HEIGHT * value / highest
            yield _bar(x, bottom - height, bar, height, colour, f"{_hour(times[place])}: {value:,.10g}")
        if place % ceil(len(times) / _MOST_LABELS) == 0:
            yield _text(middle, bottom + 20, _hour(times[place]), size=12, fill=_FAINT, anchor="middle")


def _bar(x: float, y: float, width: float, height: float, colour: str, words: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width - 1, 0.5):.1f}" height="{height:.1f}"'
    return f'<rect {place} fill="{colour}"><title>{escape(words)}</title></rect>'


def _text(
    x: float, y: float, words: str, *, size: int, weight: int = 400, fill: str = _INK, anchor: str = "start"
) -> str:
    style = f'font-size="{size}" font-weight="{weight}" fill="{fill}" text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>'


def _step(highest: float) -> float:
    """Return a round distance of grid lines: 1, 2 or 5 times a power of ten, at least 1."""
    rough = highest / _LINES
    power = 10.0 ** floor(log10(rough)) if rough > 1 else 1.0
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)


def _hour(at: int) -> str:
    return iso_hour(at / 1000)
