"""What Grafana does with an alert: its reduce, math and threshold, over the answers of a real InfluxDB."""

import operator
import re
from collections.abc import Callable
from typing import Any

from grafana.alerts import ALERTS, Alert
from grafana.queries import Query
from models.settings import Settings
from tests.grafana.influx import ask

__all__ = ["alert_of", "firing"]

_PASSES: dict[str, Callable[[float, float], bool]] = {"gt": operator.gt, "lt": operator.lt}
_REDUCERS: dict[str, Callable[[list[float]], float]] = {"last": operator.itemgetter(-1), "max": max}
_NAMES = "AB"


def alert_of(uid: str) -> Alert:
    [alert] = [alert for alert in ALERTS if alert.uid == uid]
    return alert


async def firing(settings: Settings, uid: str) -> set[str]:
    """The tags of what is past the threshold, between spaces; `no data` where that fires."""
    alert = alert_of(uid)
    kind, bound = alert.fires
    reduced = [await _reduced(settings, alert, query) for query in alert.queries]
    values = {tags: _made(alert, [one[tags] for one in reduced]) for tags in set.intersection(*map(set, reduced))}
    if not values:
        return {"no data"} if alert.silence == "Alerting" else set()
    return {tags for tags, value in values.items() if _PASSES[kind](value, bound)}


async def _reduced(settings: Settings, alert: Alert, query: Query) -> dict[str, float]:
    """A number for each series that has one, by its tags."""
    found: dict[str, float] = {}
    for series in await ask(settings, query.text()):
        [column] = {*series.columns} - {"time"}
        if values := series.of(column):
            found[" ".join(series.tags[tag] for tag in query.by)] = _REDUCERS[alert.reducer](values)
    return found


def _made(alert: Alert, values: list[float]) -> float:
    """The alert's mathematics, which Python reads alike but for `&&` and `$`."""
    names: dict[str, Any] = {f"R{name}": value for name, value in zip(_NAMES, values, strict=False)}
    expression = re.sub(r"\$(R\w)", r"\1", alert.math or "$RA").replace("&&", "and")
    return float(eval(expression, {"__builtins__": {}}, names))  # noqa: S307 - an alert of ours
