"""A calibration as a picture: bounds of false matches and missed returns by threshold, and the crowds. SVG. Pure."""

from collections.abc import Iterable, Iterator
from html import escape
from math import log10
from typing import Final

from models.contract.face_models import TRILLION
from models.face.calibration.study import Calibration

__all__ = ["picture"]

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 960, 480, 70, 24, 70, 60
_MATCH, _MISSED, _INK, _GRID = "#c2410c", "#0f6e84", "#1f2933", "#e6eaee"
_DECADES: Final = 8
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


def picture(found: Calibration) -> str:
    """Return SVG: rates on a logarithmic axis of eight decades over the scores of the curve."""
    curve = found.model.curve
    low, high = curve[0].score, max(curve[-1].score, curve[0].score + 1)

    def x(score: int) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (score - low) / (high - low)

    match = ((x(point.score), _y(point.false_match / TRILLION)) for point in curve)
    missed = ((x(point.score), _y(point.missed)) for point in curve)
    target = min(crowd.wrongful_per_million for crowd in found.crowds)
    crowds = [crowd for crowd in found.crowds if crowd.wrongful_per_million == target and crowd.threshold is not None]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="{_FONT}">',
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
            _text(_LEFT, 30, f"{found.model.id}: errors by threshold, equal bits of {found.model.bits:,}", 16),
            _text(_LEFT, 50, "false matches of the worst group, at most (95 %)", 12, _MATCH),
            _text(_LEFT + 530, 50, "missed returns", 12, _MISSED),
            *_grid(),
            *_vertical(x(found.model.measured_to), "measured up to here"),
            _line(match, _MATCH),
            _line(missed, _MISSED),
            *(line for crowd in crowds for line in _vertical(x(crowd.threshold or 0), f"{crowd.templates:,}")),
            _text(
                _LEFT,
                _HEIGHT - 14,
                f"numbers at the foot: live templates whose threshold this is, at {target} of a million",
                12,
            ),
            "</svg>\n",
        )
    )


def _y(rate: float) -> float:
    """0 and what lies below the axis are drawn at its end."""
    decades = min(-log10(rate), _DECADES) if rate > 0 else _DECADES
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * decades / _DECADES


def _grid() -> Iterator[str]:
    for decade in range(_DECADES + 1):
        y = _y(10.0**-decade)
        yield f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_GRID}"/>'
        yield _text(18, y + 4, "1" if decade == 0 else f"1e-{decade}", 11)


def _vertical(x: float, words: str) -> Iterator[str]:
    bottom = _HEIGHT - _BOTTOM
    yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}" stroke="{_GRID}" stroke-dasharray="3 3"/>'
    yield _text(x - 4, bottom + 16, words, 11)


def _line(points: Iterable[tuple[float, float]], colour: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _text(x: float, y: float, words: str, size: int, fill: str = _INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}">{escape(words)}</text>'
