"""A view: time range, chosen values, and the statements that query it. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo

from msgspec import Struct

from grafana.interpolation import interpolated
from grafana.preview.dashboard import Annotation, Panel
from grafana.preview.schema import Target
from models.errors import ConfigError

__all__ = ["COLUMN_PX", "View", "asked", "asked_for_marks", "interval_ms", "moment", "of_panel"]

_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_SPAN = re.compile(r"(\d+)(ms|[smhdw])")
COLUMN_PX = 58
"""Of a page that is 1440 wide."""
_NICE_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
"""The steps of Grafana's `rangeutil.roundInterval`."""


class View(Struct, frozen=True, kw_only=True):
    """A range in milliseconds since 1970, the values of variables, the zone in which times are shown."""

    since_ms: int
    until_ms: int
    chosen: Mapping[str, str]
    zone: tzinfo = UTC

    def local(self, at_ms: float) -> datetime:
        """A moment in the zone."""
        return datetime.fromtimestamp(at_ms / 1000, self.zone)


def moment(text: str, now_ms: int) -> int:
    """Milliseconds since 1970 of `now`, `-1h`, `now-7d` or an ISO time, without a zone in that of the machine."""
    if text == "now":
        return now_ms
    if found := re.fullmatch(rf"(?:now)?-{_SPAN.pattern}", text):
        return now_ms - int(found[1]) * _UNITS_MS[found[2]]
    try:
        return int(1000 * datetime.fromisoformat(text).timestamp())
    except ValueError:
        raise ConfigError(f"{text} is no time: use now, -1h, -7d, or one like 2026-03-01T08:00") from None


def of_panel(panel: Panel, view: View) -> View:
    """A panel with a range of its own covers that range, as Grafana's relative time does."""
    if not panel.time_from:
        return view
    return View(
        since_ms=view.until_ms - _span_ms(panel.time_from), until_ms=view.until_ms, chosen=view.chosen, zone=view.zone
    )


def interval_ms(panel: Panel, view: View) -> int:
    """About a point for each pixel, in one of Grafana's steps, and never below the panel's own least interval."""
    seen = of_panel(panel, view)
    wanted_s = (seen.until_ms - seen.since_ms) / 1000 / (panel.grid_pos.w * COLUMN_PX)
    nice_ms = 1000 * min(_NICE_S, key=lambda step: abs(step - wanted_s))
    return max(nice_ms, _span_ms(panel.interval))


def asked(panel: Panel, target: Target, view: View) -> str:
    """The statement of a panel's target."""
    return _statement(target.query, of_panel(panel, view), interval_ms(panel, view))


def asked_for_marks(annotation: Annotation, view: View) -> str:
    """The statement of an annotation."""
    return _statement(annotation.target.query, view, 1000)


def _statement(query: str, view: View, step_ms: int) -> str:
    try:
        return interpolated(query, view.since_ms, view.until_ms, interval=f"{step_ms // 1000}s", chosen=view.chosen)
    except KeyError as error:
        raise ConfigError(f"the preview has no value for the variable {error} of: {query}") from None


def _span_ms(text: str) -> int:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ConfigError(f"the preview does not know the span {text}")
    return int(found[1]) * _UNITS_MS[found[2]]
