"""Every query of every panel, variable, annotation and alert, asked of a real InfluxDB after a real run."""

import pytest

from grafana.boards import BOARDS
from grafana.interpolation import ALL, interpolated
from grafana.queries import Select, total
from models.metrics.catalogue import ANSWERS
from tests.grafana.influx import Series, ask
from tests.grafana.scene import Scene
from tests.grafana.statements import QueryCase, in_json, of_alerts, of_annotations, of_panels, statement

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]


def check(series: list[Series], columns: frozenset[str]) -> None:
    assert series, "nothing comes back"
    for one in series:
        assert {*one.columns, *one.tags} - {"time"} == columns
    for column in columns - series[0].tags.keys():
        assert any(one.of(column) for one in series), f"{column} is empty"


@pytest.mark.parametrize("asked", [*of_panels(), *of_annotations()], ids=lambda asked: asked.name)
async def test_a_query_of_a_dashboard_returns_data_with_the_expected_columns(asked: QueryCase, scene: Scene) -> None:
    check(await ask(scene.settings, statement(asked, scene.since_ms, scene.until_ms)), asked.columns)


async def test_a_query_that_finds_nothing_fails(scene: Scene) -> None:
    never = Select(ANSWERS, [total("n", "refusals")], where={"reason": "dispenser_limit"})
    series = await ask(scene.settings, interpolated(never.text(), scene.since_ms, scene.until_ms, chosen={}))
    with pytest.raises(AssertionError, match="nothing comes back"):
        check(series, never.names)


async def test_a_query_bound_to_a_site_shows_of_no_other(scene: Scene) -> None:
    bound = [asked for asked in of_panels() if "${site" in asked.query and "site" in asked.columns]
    assert len(bound) > 15
    for asked in bound:
        for one in await ask(scene.settings, statement(asked, scene.since_ms, scene.until_ms, "meadow")):
            assert one.tags["site"] == "meadow", asked.name


@pytest.mark.parametrize("asked", [*of_alerts()], ids=lambda asked: asked.name)
async def test_a_query_of_an_alert_returns_data_with_the_expected_columns(asked: QueryCase, scene: Scene) -> None:
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
