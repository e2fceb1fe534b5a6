"""Every query of every panel, variable, annotation and alert, asked of a real InfluxDB after a real run."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import yaml

from grafana.__main__ import HERE
from grafana.alerts import ALERTS, DATA_SOURCE
from grafana.boards import BOARDS
from grafana.interpolation import ALL, interpolated
from grafana.panels import Board
from grafana.queries import Select, total
from models.metrics.catalogue import ANSWERS
from tests.grafana.influx import Series, ask
from tests.grafana.scene import Scene

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

SECONDS = {"h": 3600, "d": 86_400}
CHOSEN = {"device": ALL, "portion": "60", "shadow": "shadow"}


class Asked(NamedTuple):
    """A query as it stands in the JSON, and what its answer must have."""

    name: str
    board: str
    query: str
    columns: frozenset[str]
    over: str = ""


def in_json(board: Board) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "dashboards" / f"{board.title.lower()}.json").read_text())
    return found


def of_panels() -> Iterator[Asked]:
    for board in BOARDS:
        shown = [panel for panel in in_json(board)["panels"] if panel["type"] != "row"]
        for panel, meant in zip(shown, board.panels, strict=True):
            for target, query in zip(panel["targets"], meant.queries, strict=True):
                name = f"{board.title}: {panel['title']} {target['refId']}"
                yield Asked(name, board.uid, target["query"], query.names, panel.get("timeFrom", ""))


def of_annotations() -> Iterator[Asked]:
    for board in BOARDS:
        for marks, meant in zip(in_json(board)["annotations"]["list"], board.annotations, strict=True):
            yield Asked(f"{board.title}: {marks['name']}", board.uid, marks["target"]["query"], meant.query.names)


def of_alerts() -> Iterator[Asked]:
    [group] = yaml.safe_load((HERE / "provisioning" / "alerting" / "rules.yaml").read_text())["groups"]
    for rule, alert in zip(group["rules"], ALERTS, strict=True):
        asked = [part["model"]["query"] for part in rule["data"] if part["datasourceUid"] == DATA_SOURCE]
        for number, (query, meant) in enumerate(zip(asked, alert.queries, strict=True)):
            yield Asked(f"{rule['uid']} {number}", "", query, meant.names)


def statement(asked: Asked, scene: Scene, site: str) -> str:
    since = scene.since_ms
    if asked.over:
        since = scene.until_ms - 1000 * int(asked.over[:-1]) * SECONDS[asked.over[-1]]
    return interpolated(asked.query, since, scene.until_ms, interval="10s", chosen={"site": site, **CHOSEN})


def check(series: list[Series], columns: frozenset[str]) -> None:
    assert series, "nothing comes back"
    for one in series:
        assert {*one.columns, *one.tags} - {"time"} == columns
    for column in columns - series[0].tags.keys():
        assert any(one.of(column) for one in series), f"{column} is empty"


@pytest.mark.parametrize("asked", [*of_panels(), *of_annotations()], ids=lambda asked: asked.name)
async def test_a_query_of_a_dashboard_returns_data_with_the_expected_columns(asked: Asked, scene: Scene) -> None:
    check(await ask(scene.settings, statement(asked, scene, ALL)), asked.columns)


async def test_a_query_that_finds_nothing_fails(scene: Scene) -> None:
    never = Select(ANSWERS, [total("n", "refusals")], where={"reason": "dispenser_limit"})
    series = await ask(scene.settings, interpolated(never.text(), scene.since_ms, scene.until_ms, chosen={}))
    with pytest.raises(AssertionError, match="nothing comes back"):
        check(series, never.names)


async def test_a_query_bound_to_a_site_tells_of_no_other(scene: Scene) -> None:
    bound = [asked for asked in of_panels() if "${site" in asked.query and "site" in asked.columns]
    assert len(bound) > 15
    for asked in bound:
        for one in await ask(scene.settings, statement(asked, scene, "meadow")):
            assert one.tags["site"] == "meadow", asked.name


@pytest.mark.parametrize("asked", [*of_alerts()], ids=lambda asked: asked.name)
async def test_a_query_of_an_alert_returns_data_with_the_expected_columns(asked: Asked, scene: Scene) -> None:
    assert "$" not in asked.query
    check(await ask(scene.settings, asked.query), asked.columns)


async def test_a_variable_lists_what_there_is(scene: Scene) -> None:
    for board in BOARDS:
        for variable in in_json(board)["templating"]["list"]:
            if variable["type"] != "query":
                continue
            [found] = await ask(scene.settings, interpolated(variable["query"], 0, 0, chosen={"site": ALL}))
            expected = {"site": {"meadow", "hall"}, "device": {"north", "south", "gate"}}
            assert set(found.of("value")) == expected[variable["name"]]
