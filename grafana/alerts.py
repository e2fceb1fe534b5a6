"""Alerts, and the file from which Grafana provisions them.

An alert's queries take no dashboard variables, so they state their time ranges; each series is reduced to a
number, and a number past the threshold fires for the tags of its series.
"""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

import yaml

from grafana.boards.city import CITY, STOCK_HOURS, hours_left
from grafana.boards.pipeline import PIPELINE
from grafana.boards.privacy import PRIVACY, beyond_window
from grafana.boards.site import SITE_BOARD
from grafana.panels import Board
from grafana.queries import Over, Query, Select, growth, highest, last, total
from models.metrics.catalogue import (
    ANSWERS,
    AUDITS,
    DEAD_LETTERS,
    LAG,
    REPORTS,
    REQUESTS,
    SERVICES,
    ServiceState,
)

__all__ = ["ALERTS", "DATA_SOURCE", "Alert", "rules"]

DATA_SOURCE = "fairroll-influxdb"
"""Its uid, as in provisioning/datasources/influxdb.yaml."""
_EXPRESSION = "__expr__"
_EVERY = "30s"
_LOOK_BACK_S = 604_800


@dataclass(frozen=True)
class Alert:
    """An alert rule. `uid` is also the name of its runbook in docs/runbooks/."""

    uid: str
    title: str
    summary: str
    queries: Sequence[Query]
    fires: tuple[Literal["gt", "lt"], float]
    _: KW_ONLY
    shown: tuple[Board, str]
    """the panel that shows it"""
    math: str = ""
    """of the reduced queries RA, RB, ...; else RA alone"""
    reducer: Literal["last", "max"] = "last"
    lasting: str = "0s"
    urgent: bool = False
    silence: Literal["OK", "Alerting"] = "OK"
    """what no data at all means"""


def _since(span: str) -> str:
    return f"time > now() - {span}"


def _state() -> Select:
    """The best state of a service in its last four samples, so that a restart raises no alert."""
    tags = ["service", "instance", "address"]
    return Select(SERVICES, [highest("state")], by=tags, times=_since("45s"))


def _grown(name: str) -> Over:
    """How much a counter of the sink grew in a quarter of an hour; a restart, which sets it to 0, is no growth."""
    inner = Select(SERVICES, [growth(name)], where={"service": "sink"}, by=["instance"], times=_since("15m"))
    return Over(inner, {name: f'sum("{name}")'}, by=["instance"])


ALERTS = (
    Alert(
        "silent-service",
        "A service does not answer",
        "No answer from {{ $labels.address }} (last: {{ $labels.service }} {{ $labels.instance }}), or no sample",
        [_state()],
        ("lt", 1),
        shown=(PIPELINE, "State of each service"),
        urgent=True,
        silence="Alerting",
    ),
    Alert(
        "unready-service",
        "A service is not ready",
        "{{ $labels.service }} {{ $labels.instance }} at {{ $labels.address }} answers, and does no work",
        [_state()],
        ("gt", 0),
        math=f"$RA > {ServiceState.SILENT:d} && $RA < {ServiceState.READY:d}",
        shown=(PIPELINE, "State of each service"),
        urgent=True,
    ),
    Alert(
        "silent-site",
        "A site is silent",
        "No dispenser of {{ $labels.site }} has reported anything for an hour or more",
        [Select(REQUESTS, [total("reports")], by=["site"], times=_since("1h"))],
        ("lt", 1),
        shown=(CITY, "Paper by site"),
        lasting="5m",
    ),
    Alert(
        "low-stock",
        "A roll ends soon",
        "{{ $labels.site }}/{{ $labels.device }} has paper for less than 4 hours, as fast as it went lately",
        [hours_left(_since(f"{STOCK_HOURS}h"))],
        ("lt", 4),
        shown=(CITY, "Hours until a roll ends"),
        lasting="10m",
    ),
    Alert(
        "jam",
        "A motor jams",
        "{{ $labels.site }}/{{ $labels.device }} jammed three times or more within an hour",
        [Select(REPORTS, [total("n", "jams")], where={"fault": "jam"}, by=["site", "device"], times=_since("1h"))],
        ("gt", 2),
        shown=(SITE_BOARD, "Faults"),
    ),
    Alert(
        "refusals-spike",
        "Many more refusals than usual",
        "{{ $labels.site }} refused four times as many in 15 minutes as on the day's average, and more than 20",
        [
            Select(ANSWERS, [total("n", "now")], where={"outcome": "refuse"}, by=["site"], times=_since("15m")),
            Select(ANSWERS, [total("n", "day")], where={"outcome": "refuse"}, by=["site"], times=_since("24h")),
        ],
        ("gt", 0),
        math="$RA > 20 && $RA > 4 * $RB / 96",
        shown=(SITE_BOARD, "Refusals and why"),
    ),
    Alert(
        "slow-answers",
        "Answers are slow",
        "At {{ $labels.site }} one of a hundred waited longer than a second for its decision",
        [Select(REQUESTS, [highest("p99_ms", "p99")], by=["site"], times=_since("10m"))],
        ("gt", 1000),
        shown=(CITY, "Waits"),
        lasting="5m",
        urgent=True,
    ),
    Alert(
        "lag",
        "The pipeline lags behind",
        "{{ $labels.group }} is more than 10 s behind in {{ $labels.topic }}: dispensers serve by themselves",
        [
            Select(
                LAG,
                [last("seconds", "age")],
                where={"group": ["decider", "egress"]},
                by=["group", "topic"],
                times=_since("2m"),
            )
        ],
        ("gt", 10),  # consumers commit every 3 s, so that a lower lag means nothing
        shown=(PIPELINE, "Lag in seconds"),
        lasting="1m",
        urgent=True,
    ),
    Alert(
        "dead-letters",
        "Messages cannot be read",
        "More than ten messages within 15 minutes became dead letters",
        [Select(DEAD_LETTERS, [total("n", "letters")], times=_since("15m"))],
        ("gt", 10),
        shown=(PIPELINE, "Dead letters"),
    ),
    Alert(
        "sink-drops",
        "The metrics sink drops points",
        "Sink {{ $labels.instance }} passed over records, or InfluxDB refused its points for good",
        [_grown("rejected"), _grown("unreadable")],
        ("gt", 0),
        math="$RA + $RB",
        shown=(PIPELINE, "Drops of the sink a minute"),
    ),
    Alert(
        "old-template",
        "A template is older than allowed",
        "{{ $labels.site }} remembers a template beyond the end of its window",
        [beyond_window(_since("5m"))],
        ("gt", 0),
        shown=(PRIVACY, "Oldest template against its window"),
        reducer="max",
        urgent=True,
    ),
    Alert(
        "audit-failed",
        "An audit failed",
        "The last audit found readable data where none may be, or could not read everything; or none ran for a day",
        [Select(AUDITS, [last(name)], times=_since("25h")) for name in ("findings", "unread")],
        ("gt", 0),
        math="$RA + $RB",
        shown=(PRIVACY, "Audit, last result"),
        urgent=True,
        silence="Alerting",
    ),
)


def rules() -> str:
    """The provisioning file."""
    group = {
        "orgId": 1,
        "name": "fairroll",
        "folder": "fairroll",
        "interval": _EVERY,
        "rules": [_rule(alert) for alert in ALERTS],
    }
    head = "# Written by `python -m grafana` out of grafana/alerts.py; docs/runbooks/ has a page for each.\n"
    text: str = yaml.safe_dump({"apiVersion": 1, "groups": [group]}, sort_keys=False, width=120)
    return head + text


def _rule(alert: Alert) -> dict[str, Any]:
    board, panel = alert.shown
    return {
        "uid": alert.uid,
        "title": alert.title,
        "condition": "C",
        "data": _data(alert),
        "dashboardUid": board.uid,
        "panelId": board.ids[panel],
        "noDataState": alert.silence,
        "execErrState": "Error",
        "for": alert.lasting,
        "annotations": {"summary": alert.summary, "runbook": f"docs/runbooks/{alert.uid}.md"},
        "labels": {"severity": "urgent" if alert.urgent else "soon"},
        "isPaused": False,
    }


def _data(alert: Alert) -> list[dict[str, Any]]:
    """The queries A, B, ...; each reduced to a number RA, RB, ...; what is made of them, M; the threshold, C."""
    refs = "AB"[: len(alert.queries)]
    queries = [_query(ref, query) for ref, query in zip(refs, alert.queries, strict=True)]
    settings = {"mode": "dropNN"}
    reduced = [_expression(f"R{ref}", "reduce", ref, reducer=alert.reducer, settings=settings) for ref in refs]
    made = [_expression("M", "math", alert.math)] if alert.math else []
    kind, bound = alert.fires
    evaluator = {"type": kind, "params": [bound]}
    threshold = _expression("C", "threshold", "M" if made else "RA", conditions=[{"evaluator": evaluator}])
    return [*queries, *reduced, *made, threshold]


def _query(ref: str, query: Query) -> dict[str, Any]:
    model = {"refId": ref, "rawQuery": True, "query": query.text(), "resultFormat": "time_series"}
    return _part(ref, DATA_SOURCE, model)


def _expression(ref: str, kind: str, of: str, **more: object) -> dict[str, Any]:
    model = {"refId": ref, "type": kind, "expression": of, "datasource": {"type": _EXPRESSION, "uid": _EXPRESSION}}
    return _part(ref, _EXPRESSION, model | more)


def _part(ref: str, source: str, model: dict[str, Any]) -> dict[str, Any]:
    return {
        "refId": ref,
        "relativeTimeRange": {"from": _LOOK_BACK_S, "to": 0},
        "datasourceUid": source,
        "model": model,
    }
