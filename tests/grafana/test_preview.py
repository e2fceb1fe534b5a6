"""The preview without a browser: what it reads, asks, writes and refuses."""

import json
from collections.abc import Mapping
from datetime import timedelta, timezone
from typing import Any

import pytest

from grafana.__main__ import HERE
from grafana.answers import Series
from grafana.boards import BOARDS
from grafana.preview import blocks
from grafana.preview.dashboard import (
    BarGauge,
    Dashboard,
    Panel,
    Row,
    Stat,
    StateTimeline,
    Table,
    TimeSeries,
    read_dashboard,
)
from grafana.preview.drawing import happened, statements
from grafana.preview.figures import figure_of_states, over_time
from grafana.preview.lines import Line, Rows, lines, rows
from grafana.preview.page import Shown, page
from grafana.preview.schema import Defaults, Step, Thresholds
from grafana.preview.values import COLOURS, coloured, written
from grafana.preview.view import View, interval_ms, moment, of_panel
from models.errors import ConfigError

HOUR_MS = 3_600_000
NOW_MS = 1_770_000_000_000
VIEW = View(
    since_ms=NOW_MS - HOUR_MS,
    until_ms=NOW_MS,
    chosen={"site": ".*", "device": ".*", "portion": "60", "shadow": "shadow"},
    zone=timezone(timedelta(hours=8)),
)
boards = pytest.mark.parametrize("name", [board.title.lower() for board in BOARDS])


def in_file(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "dashboards" / f"{name}.json").read_text())
    return found


def dashboard(name: str) -> Dashboard:
    return read_dashboard(f"{name}.json", json.dumps(in_file(name)))


def panel(name: str, title: str) -> Panel:
    [found] = [one for one in dashboard(name).panels if one.title == title and not isinstance(one, Row)]
    return found


def shown(name: str, answers: Mapping[str, list[Series]] = {}) -> Shown:
    board = dashboard(name)
    nothing: dict[str, list[Series]] = {statement: [] for statement in statements(board, VIEW)}
    return Shown(board=board, view=VIEW, answers=nothing | dict(answers))


@boards
def test_every_dashboard_of_ours_can_be_drawn_and_says_where_there_is_nothing(name: str) -> None:
    drawn = shown(name)
    text = page([drawn])
    panels = [part for part in drawn.board.panels if not isinstance(part, Row)]
    assert text.count('<p class="nothing">') == len(panels) == text.count("<article")
    assert "http-equiv" not in text
    for loaded in ('src="http', 'href="http', "url(http", "@import"):
        assert loaded not in text.partition("<script>")[0], "the page needs nothing else"


def change(tree: Any, path: tuple[str | int, ...], value: object) -> str:
    place = tree
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(tree)


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("panels", 1, "type"), "piechart", r"'piechart' - at `\$\.panels\[1\]\.type`"),
        (("panels", 1, "options", "sparkle"), 1, "unknown field `sparkle`"),
        (("panels", 1, "options", "colorMode"), "background", "'background'"),
        (("panels", 1, "fieldConfig", "defaults", "decimals"), 2, "unknown field `decimals`"),
        (("panels", 1, "repeat"), "site", "unknown field `repeat`"),
        (("panels", 1, "fieldConfig", "defaults", "thresholds", "mode"), "percentage", "'percentage'"),
        (("panels", 1, "transformations"), [{"id": "organize"}], "'organize'"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_its_name(
    path: tuple[str | int, ...], value: object, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=rf"city\.json: .*{complaint}"):
        read_dashboard("city.json", change(in_file("city"), path, value))


def defaults(unit: str, *steps: tuple[float | None, str], **more: Any) -> Defaults:
    thresholds = Thresholds("absolute", [Step(*step) for step in steps or ((None, "green"),)])
    return Defaults(unit=unit, thresholds=thresholds, **more)


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("short", 12, "12"),
        ("short", 12_345, "12.3 K"),
        ("short", 2_500_000, "2.5 Mil"),
        ("none", 12_345, "12,345"),
        ("suffix:cm", 25_380, "25,380 cm"),
        ("suffix:cm", 0.5, "0.5 cm"),
        ("ms", 8.25, "8.25 ms"),
        ("ms", 1_500, "1.5 s"),
        ("s", 0.2, "0.2 s"),
        ("s", -540, "-9 min"),
        ("h", 30, "1.25 days"),
        ("percent", 81, "81 %"),
        ("bytes", 2_048, "2 KiB"),
        ("sci", 0.000032, "3.2e-05"),
        ("short", None, ""),
        ("short", True, "true"),
        ("short", "face", "face"),
    ],
)
def test_a_value_is_written_with_its_unit(unit: str, value: object, text: str) -> None:
    assert written(value, defaults(unit)) == text


def test_a_unit_or_a_colour_that_the_preview_does_not_know_is_an_error() -> None:
    with pytest.raises(ConfigError, match="unit furlongs"):
        written(1, defaults("furlongs"))
    with pytest.raises(ConfigError, match="colour mauve"):
        coloured(1, defaults("short", (None, "mauve")))


@pytest.mark.parametrize(("value", "colour"), [(-1, "green"), (499, "green"), (500, "yellow"), (1_000, "red")])
def test_the_colour_is_that_of_the_highest_threshold_that_is_reached(value: float, colour: str) -> None:
    assert coloured(value, defaults("ms", (None, "green"), (500, "yellow"), (1_000, "red"))) == COLOURS[colour]


def test_a_word_has_its_own_text_and_colour() -> None:
    online = panel("site", "Online").shown
    assert (written(False, online), coloured(False, online)) == ("offline", COLOURS["red"])  # noqa: FBT003 - a value of InfluxDB


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("now", NOW_MS),
        ("-1h", NOW_MS - HOUR_MS),
        ("now-7d", NOW_MS - 168 * HOUR_MS),
        ("2026-02-02T02:40:00Z", NOW_MS),
        ("2026-02-02T10:40+08:00", NOW_MS),
    ],
)
def test_a_time_is_now_or_before_now_or_an_iso_time(text: str, at_ms: int) -> None:
    assert moment(text, NOW_MS) == at_ms


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(ConfigError, match="yesterday is no time"):
        moment("yesterday", NOW_MS)


def test_a_step_is_about_a_pixel_and_never_below_the_panel_s_own() -> None:
    requests, lag = panel("city", "Requests by site"), panel("pipeline", "Lag in seconds")
    week = View(since_ms=NOW_MS - 168 * HOUR_MS, until_ms=NOW_MS, chosen={})
    assert [interval_ms(one, VIEW) for one in (requests, lag)] == [60_000, 10_000]
    assert interval_ms(requests, week) == 20 * 60_000


def test_a_panel_with_a_span_of_its_own_looks_back_that_far() -> None:
    stock = panel("city", "Stock")
    assert of_panel(stock, VIEW).since_ms == NOW_MS - 24 * HOUR_MS


def test_series_are_named_by_their_alias() -> None:
    live, shadow = (
        Series(tags={"identity": "same"}, columns=["time", "faces"], values=[[1, 2]]),
        Series(tags={"identity": "same"}, columns=["time", "faces"], values=[[1, 1]]),
    )
    both = panel("replay", "Faces known again, new, in doubt")
    assert [line.name for line in lines(both, [[live], [shadow]])] == ["live same", "trial same"]


def test_several_answers_become_one_row_of_what_they_share() -> None:
    glance = panel("city", "Sites at a glance")
    assert isinstance(glance, Table)
    answers = [
        [Series(tags={"site": site}, columns=["time", name], values=[[0, value]]) for site in sites]
        for name, value, sites in (
            ("requests", 9, ["park", "lake"]),
            ("portions", 7, ["park"]),
            ("refusals", 2, ["lake"]),
            ("came out", 420, ["park"]),
        )
    ]
    merged = rows(glance, answers)
    assert merged.columns == ["site", "requests", "portions", "refusals", "came out"]
    values = {row["site"]: [row.get(name) for name in merged.columns[1:]] for row in merged.cells}
    assert values == {"park": [9, 7, None, 420], "lake": [9, None, 2, None]}


def test_a_state_lasts_until_the_next_word_and_begins_with_the_range() -> None:
    online = panel("site", "Online")
    assert isinstance(online, StateTimeline)
    received = Line("gate", [VIEW.since_ms - 9, VIEW.since_ms + 10, VIEW.since_ms + 20], [True, True, False])
    first, second = figure_of_states(online, VIEW, [received], []).data
    assert (first.x, second.x) == ((20,), (HOUR_MS - 20,))
    assert first.base[0].isoformat() == "2026-02-02T09:40:00"


def test_a_state_ends_where_nobody_reported_of_it() -> None:
    services = panel("pipeline", "State of each service")
    assert isinstance(services, StateTimeline)
    times = [VIEW.since_ms + 10_000 * step for step in range(4)]
    received = Line("decider 1", times, [3, None, None, 0])
    ready, silent = figure_of_states(services, VIEW, [received], []).data
    assert (ready.x, silent.x) == ((10_000,), (HOUR_MS - 30_000,))
    assert [bar.marker.color for bar in (ready, silent)] == [COLOURS["green"], COLOURS["red"]]
    assert "no answer" in silent.hovertemplate


def test_a_line_has_gaps_and_a_point_between_two_of_them_is_seen() -> None:
    lag = panel("pipeline", "Lag in seconds")
    assert isinstance(lag, TimeSeries)
    times = [VIEW.since_ms + 10_000 * step for step in range(100)]
    values = [1.0] * 70 + [None, 5.0, None] + [1.0] * 27
    before, alone, after = over_time(lag, VIEW, [Line("decider", times, values)], 10_000, []).data
    assert [len(stretch.y) for stretch in (before, alone, after)] == [70, 1, 27]
    assert [stretch.mode for stretch in (before, alone, after)] == ["lines", "lines+markers", "lines"]


def test_bars_stand_over_the_interval_that_they_sum_and_shares_fill_the_whole() -> None:
    by = panel("site", "By face, button or staff")
    assert isinstance(by, TimeSeries)
    drawn = over_time(by, VIEW, [Line("face", [VIEW.since_ms], [3])], 60_000, [])
    assert drawn.layout.barnorm == "percent"
    assert drawn.data[0].x[0].isoformat() == "2026-02-02T09:40:30"


def test_a_text_out_of_influxdb_is_text_in_the_page() -> None:
    letters = panel("pipeline", "Latest dead letters")
    assert isinstance(letters, Table)
    received = Rows(["reason"], [{"reason": "<script>alert(1)</script>"}] * 50)
    html = blocks.table(letters, received, VIEW, {})
    assert "<script>" not in html
    assert "and 26 more rows" in html
    portions = panel("city", "Requests by site")
    named = Series(tags={"site": "</script>"}, columns=["time", "requests"], values=[[NOW_MS, 1]])
    assert isinstance(portions, TimeSeries)
    [statement] = [one for one in statements(dashboard("city"), VIEW) if "time(" in one and '"requests"' in one][:1]
    drawn = page([shown("city", {statement: [named]})])
    assert drawn.count("</script>") == drawn.count("<script")


def test_a_site_leads_to_its_own_dashboard_where_the_page_has_it() -> None:
    glance = panel("city", "Sites at a glance")
    assert isinstance(glance, Table)
    received = Rows(["site"], [{"site": "park"}, {"site": "lake"}])
    html = blocks.table(glance, received, VIEW, {"/d/fairroll-site?var-site=park": "#fairroll-site"})
    assert '<a href="#fairroll-site" title="This site">park</a>' in html
    assert "<td>lake</td>" in html


def test_one_number_is_large_and_several_have_their_names() -> None:
    portions = panel("city", "Portions")
    assert isinstance(portions, Stat)
    one = blocks.big_numbers(portions, [Line("portions", [1], [5])])
    two = blocks.big_numbers(portions, [Line("live", [1], [5]), Line("shadow", [1], [None])])
    assert "portions" not in one
    assert "live" in two
    assert "shadow" in two


def test_a_bar_without_a_value_is_not_a_bar_of_nothing() -> None:
    hours = panel("city", "Hours until a roll ends")
    assert isinstance(hours, BarGauge)
    html = blocks.bars(hours, [Line("park gate", [1], [None]), Line("lake pier", [1], [12])])
    assert html.count("<u ") == 1
    assert "No data" in html
    assert "12 h" in html
    below = blocks.bars(hours, [Line("a", [1], [-50]), Line("b", [1], [50])])
    assert "left:0.0%;width:50.0%" in below
    assert "left:50.0%;width:50.0%" in below


def test_a_mark_says_what_happened_where() -> None:
    board = dashboard("city")
    [asked] = [one for one in statements(board, VIEW) if "templates erased" in one]
    held = Series(
        columns=["time", "templates erased", "what", "site"], values=[[VIEW.since_ms + 5, 84, "held", "park"]]
    )
    [mark] = happened(board, VIEW, shown("city", {asked: [held]}).answers)
    assert (mark.what, mark.where, mark.colour) == ("held", "park, templates erased 84", COLOURS["purple"])
