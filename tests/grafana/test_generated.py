"""The files that Grafana reads equal the code and pass the rules of Grafana."""

import json
import re
from itertools import combinations
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.models import units

from grafana.__main__ import HERE, generated
from grafana.alerts import ALERTS, DATA_SOURCE
from grafana.boards import BOARDS
from grafana.interpolation import ALL, interpolated
from grafana.panels import CM, Board
from grafana.queries import IN_RANGE, SINCE_LAST_WORD, Over, Select, total
from models.metrics.catalogue import ANSWERS, FACES, LAG, REPORTS, REQUESTS, SERVICES, SITES

REGULAR = [SERVICES, LAG, SITES, REQUESTS, FACES]
"""measurements with a point for each sample, tick or period"""
UNITS = {value for name, value in vars(units).items() if not name.startswith("_") and isinstance(value, str)} | {CM}
PROVISIONING = HERE / "provisioning"
RUNBOOKS = HERE.parent / "docs" / "runbooks"
boards = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.title)


def tree(board: Board) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(generated()[HERE / "dashboards" / f"{board.title.lower()}.json"])
    return found


def panels(board: Board) -> list[dict[str, Any]]:
    return [panel for panel in tree(board)["panels"] if panel["type"] != "row"]


def test_what_is_committed_is_what_the_code_generates() -> None:
    for path, text in generated().items():
        assert path.read_text() == text, f"{path.name} differs from the code: run `make dashboards`"
    assert {path.name for path in (HERE / "dashboards").iterdir()} == {f"{b.title.lower()}.json" for b in BOARDS}


@boards
def test_a_panel_says_what_it_shows_in_which_unit_and_from_where(board: Board) -> None:
    for panel in panels(board):
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["targets"]
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "influxdb", "uid": "${datasource}"}
    for meant in board.panels:
        assert set(meant.units.values()) <= UNITS
        assert set(meant.units) <= {name for query in meant.queries for name in query.names}


@boards
def test_ids_and_titles_are_unique_and_nothing_lies_on_anything_else(board: Board) -> None:
    everything = tree(board)["panels"]
    titles, ids = ({panel[name] for panel in everything} for name in ("title", "id"))
    assert len(titles) == len(ids) == len(everything)
    for one, other in combinations([panel["gridPos"] for panel in everything], 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert one["x"] + one["w"] <= 24


@boards
def test_every_query_is_bounded_in_time_and_steps_as_the_dashboard_does(board: Board) -> None:
    for panel in panels(board):
        for target in panel["targets"]:
            assert IN_RANGE in target["query"] or SINCE_LAST_WORD in target["query"]
            assert "GROUP BY time(" not in target["query"] or "time($__interval)" in target["query"]
            for source in re.findall(r'FROM ("\S+|\()', target["query"]):
                assert source == "(" or re.match(r'"(autogen|\$shadow)"\."\w+"', source)


@boards
def test_a_dashboard_is_read_only_refreshes_its_variables_and_links_to_the_others(board: Board) -> None:
    written = tree(board)
    assert written["editable"] is False
    assert written["links"][0]["includeVars"] is written["links"][0]["keepTime"] is True
    assert written["links"][0]["tags"] == written["tags"] == ["fairroll"]
    queried = [variable for variable in written["templating"]["list"] if variable["type"] == "query"]
    assert all(variable["refresh"] == 2 for variable in queried)
    assert len({board.uid for board in BOARDS}) == len(BOARDS)


@boards
def test_an_annotation_reads_columns_that_its_query_has(board: Board) -> None:
    for marks in board.annotations:
        assert {marks.text, *marks.tags} <= marks.query.names
        assert not marks.query.by


@boards
def test_what_is_measured_at_regular_times_has_gaps_where_it_was_not(board: Board) -> None:
    for panel in board.panels:
        for query in panel.queries if panel.kind in {"lines", "states"} else ():
            source = (query.inner if isinstance(query, Over) else query).source
            if source in REGULAR:
                assert query.text().endswith("fill(null)"), panel.title
                assert panel.least_interval, panel.title


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((PROVISIONING / "alerting" / "rules.yaml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_an_alert_has_a_runbook_and_a_panel_and_asks_without_variables() -> None:
    assert {path.stem for path in RUNBOOKS.iterdir()} == {alert.uid for alert in ALERTS}
    shown = {board.uid: {panel["id"]: panel["title"] for panel in panels(board)} for board in BOARDS}
    for rule, alert in zip(rules(), ALERTS, strict=True):
        assert shown[rule["dashboardUid"]][rule["panelId"]] == alert.shown[1]
        refs = [part["refId"] for part in rule["data"]]
        assert rule["condition"] == refs[-1]
        assert len(set(refs)) == len(refs)
        for number, part in enumerate(rule["data"]):
            assert "$" not in part["model"].get("query", "")
            used = part["model"].get("expression", "")
            assert used in refs[:number] or set(re.findall(r"\$(\w+)", used)) <= set(refs[:number])
            assert part["datasourceUid"] in {DATA_SOURCE, "__expr__"}


def test_a_summary_names_only_tags_that_its_query_has() -> None:
    for alert in ALERTS:
        named = set(re.findall(r"\$labels\.(\w+)", alert.summary))
        assert all(named <= set(query.by) for query in alert.queries), alert.uid


def test_provisioning_names_the_same_data_source_and_folder_everywhere() -> None:
    [source] = yaml.safe_load((PROVISIONING / "datasources" / "influxdb.yaml").read_text())["datasources"]
    assert source["uid"] == DATA_SOURCE
    [provider] = yaml.safe_load((PROVISIONING / "dashboards" / "fairroll.yaml").read_text())["providers"]
    [group] = yaml.safe_load((PROVISIONING / "alerting" / "rules.yaml").read_text())["groups"]
    assert provider["folder"] == group["folder"]


@pytest.mark.parametrize("name", ["none", "email", "webhook"])
def test_alerts_go_to_a_contact_point_that_is_there(name: str) -> None:
    contacts = yaml.safe_load((PROVISIONING / "contact-points" / f"{name}.yaml").read_text())
    known = {point["name"] for point in contacts.get("contactPoints", [])}
    for policy in contacts.get("policies", []):
        assert {policy["receiver"], *(route["receiver"] for route in policy.get("routes", []))} <= known


def test_a_name_that_no_measurement_has_is_no_query() -> None:
    with pytest.raises(KeyError, match="answers has no field portions"):
        Select(ANSWERS, [total("portions")])
    with pytest.raises(KeyError, match="answers has no tag device"):
        Select(ANSWERS, [total("n")], by=["device"])
    with pytest.raises(ValueError, match=r"answers\.outcome is never granted"):
        Select(ANSWERS, [total("n")], where={"outcome": "granted"})
    with pytest.raises(KeyError, match="not grouped by device"):
        Select(REPORTS, [total("cm")], by=["site"], alias="$tag_device")
    with pytest.raises(KeyError, match="no column wasted"):
        Over(Select(REPORTS, [total("cm", "used")]), {"share": '"wasted" / "used"'})


def test_variables_are_put_in_as_grafana_does() -> None:
    query = 'WHERE $timeFilter AND "site" =~ /^${site:regex}$/ GROUP BY time($__interval) * $portion'
    one = interpolated(query, 1, 2, interval="10s", chosen={"site": "a.b", "portion": "60"})
    assert one == 'WHERE time >= 1ms and time <= 2ms AND "site" =~ /^a\\.b$/ GROUP BY time(10s) * 60'
    assert "/^(a|b)$/" in interpolated(query, 1, 2, chosen={"site": ["a", "b"], "portion": "60"})
    assert "/^.*$/" in interpolated(query, 1, 2, chosen={"site": ALL, "portion": "60"})
    assert interpolated(SINCE_LAST_WORD, 1, 2, chosen={}) == "time >= 1ms - 30d AND time <= 2ms"
    with pytest.raises(KeyError):
        interpolated(query, 1, 2, chosen={"site": ALL})


def test_the_container_mounts_files_that_are_there() -> None:
    file = HERE.parent / "infra" / "deploy" / "compose.yaml"
    mounts = yaml.safe_load(file.read_text())["services"]["grafana"]["volumes"]
    sources = [re.sub(r"\$\{FAIRROLL_ALERTS:-(\w+)\}", r"\1", mount).partition(":")[0] for mount in mounts]
    assert sum(source.startswith(".") for source in sources) == 5
    for source in sources:
        assert not source.startswith(".") or (file.parent / source).exists(), source
