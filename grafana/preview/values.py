"""How a value is written and coloured: Grafana's units, thresholds and value mappings. Pure."""

from collections.abc import Sequence
from itertools import pairwise

from grafana.preview.schema import Defaults, Step
from models.errors import ConfigError

__all__ = ["COLOURS", "PALETTE", "colour_of", "coloured", "suffix", "written"]

Scale = tuple[tuple[float, str], ...]
"""From this value on, divided by it, with this suffix."""

COLOURS = {
    "green": "#2e8540",
    "yellow": "#b77900",
    "orange": "#d9641e",
    "red": "#cc2936",
    "blue": "#2b6cb0",
    "purple": "#7b4fa3",
}
"""Grafana's names; darker than its own, so that they can be read on white and in print."""
PALETTE = ("#3b6fb6", "#e08a1e", "#4a9a55", "#c8484a", "#4fa3a5", "#8d6bb1", "#8a6346", "#d17aa5", "#b5a12b", "#7a7f87")
"""For series, in order."""
_SUFFIXES = {"short": "", "none": "", "sci": "", "ms": " ms", "s": " s", "h": " h", "percent": " %", "bytes": " B"}
"""Of an axis, whose numbers are not scaled."""
_SCALES: dict[str, Scale] = {
    "short": ((1, ""), (1e3, "K"), (1e6, "Mil"), (1e9, "Bil")),
    "none": ((1, ""),),
    "ms": ((1, "ms"), (1e3, "s"), (6e4, "min"), (3.6e6, "h")),
    "s": ((1, "s"), (60, "min"), (3600, "h"), (86_400, "days")),
    "h": ((1, "h"), (24, "days"), (168, "weeks")),
    "percent": ((1, "%"),),
    "bytes": ((1, "B"), (1024, "KiB"), (1024**2, "MiB"), (1024**3, "GiB")),
}
_SUFFIX = "suffix:"


def written(value: object, shown: Defaults, unit: str = "") -> str:
    """A value as a person reads it: its word, or three digits and the unit. None is nothing."""
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if text in shown.words:
        return shown.words[text].text
    return text if isinstance(value, bool | str) or not isinstance(value, int | float) else _number(value, unit, shown)


def _number(value: float, unit: str, shown: Defaults) -> str:
    unit = unit or shown.unit
    if unit == "sci":
        return f"{value:.2g}" if value == 0 else f"{value:.1e}"
    if unit.startswith(_SUFFIX):
        return f"{_digits(value)} {unit.removeprefix(_SUFFIX)}"
    if unit not in _SCALES:
        raise ConfigError(f"the preview does not know the unit {unit}")
    scale = _SCALES[unit]
    size, name = next((step for step in reversed(scale) if abs(value) >= step[0]), scale[0])
    return f"{_digits(value / size)} {name}".rstrip()


def _digits(value: float) -> str:
    if value == round(value) or abs(value) >= 100:  # noqa: PLR2004 - three digits
        return f"{value:,.0f}"
    return f"{value:.3g}"


def suffix(unit: str) -> str:
    """What follows each number of an axis."""
    if unit.startswith(_SUFFIX):
        return f" {unit.removeprefix(_SUFFIX)}"
    if unit not in _SUFFIXES:
        raise ConfigError(f"the preview does not know the unit {unit}")
    return _SUFFIXES[unit]


def coloured(value: object, shown: Defaults, fallback: str = "") -> str:
    """By its word, else by the thresholds."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if text in shown.words:
        return colour_of(shown.words[text].color)
    if isinstance(value, bool | str) or not isinstance(value, int | float):
        return fallback
    return colour_of(_step(value, shown.thresholds.steps).color)


def _step(value: float, steps: Sequence[Step]) -> Step:
    for step, above in pairwise(steps):
        if above.value is not None and value < above.value:
            return step
    return steps[-1]


def colour_of(name: str) -> str:
    """A colour by Grafana's name."""
    if name not in COLOURS:
        raise ConfigError(f"the preview does not know the colour {name}")
    return COLOURS[name]
