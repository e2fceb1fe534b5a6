"""Every statement of dashboards and alerts, out of the files that Grafana reads."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from grafana.__main__ import HERE
from grafana.alerts import ALERTS, DATA_SOURCE
from grafana.boards import BOARDS
from grafana.interpolation import ALL, interpolated
from grafana.panels import Board

__all__ = ["CHOSEN", "QueryCase", "in_json", "of_alerts", "of_annotations", "of_panels", "statement"]

_SECONDS = {"h": 3600, "d": 86_400}
CHOSEN = {"device": ALL, "portion": "60", "shadow": "shadow"}


class QueryCase(NamedTuple):
    """A query as it stands in the JSON, and what its answer must have."""

    name: str
    board: str
    query: str
    columns: frozenset[str]
    over: str = ""


def in_json(board: Board) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "dashboards" / f"{board.title.lower()}.json").read_text())
    return found


def of_panels() -> Iterator[QueryCase]:
    for board in BOARDS:
        shown = [panel for panel in in_json(board)["panels"] if panel["type"] != "row"]
        for panel, meant in zip(shown, board.panels, strict=True):
            for target, query in zip(panel["targets"], meant.queries, strict=True):
                name = f"{board.title}: {panel['title']} {target['refId']}"
                yield QueryCase(name, board.uid, target["query"], query.names, panel.get("timeFrom", ""))


def of_annotations() -> Iterator[QueryCase]:
    for board in BOARDS:
        for marks, meant in zip(in_json(board)["annotations"]["list"], board.annotations, strict=True):
            yield QueryCase(f"{board.title}: {marks['name']}", board.uid, marks["target"]["query"], meant.query.names)


def of_alerts() -> Iterator[QueryCase]:
    [group] = yaml.safe_load((HERE / "provisioning" / "alerting" / "rules.yaml").read_text())["groups"]
    for rule, alert in zip(group["rules"], ALERTS, strict=True):
        asked = [part["model"]["query"] for part in rule["data"] if part["datasourceUid"] == DATA_SOURCE]
        for number, (query, meant) in enumerate(zip(asked, alert.queries, strict=True)):
            yield QueryCase(f"{rule['uid']} {number}", "", query, meant.names)


def statement(asked: QueryCase, since_ms: int, until_ms: int, site: str = ALL) -> str:
    """With its variables put in; a panel with a span of its own looks back that far."""
    if asked.over:
        since_ms = until_ms - 1000 * int(asked.over[:-1]) * _SECONDS[asked.over[-1]]
    return interpolated(asked.query, since_ms, until_ms, interval="10s", chosen={"site": site, **CHOSEN})
