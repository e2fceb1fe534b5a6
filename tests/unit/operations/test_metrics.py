"""The table of metrics: what is not in it cannot be written, and whatever visitors bring, it stays small."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.setup.metric_docs import MARK, PAGE, tables
from models.contract.face_models import FACE_MODELS
from models.metrics.catalogue import ANSWERS, DEAD_LETTERS, DEVICES, MEASUREMENTS, REPORTS, SERVICES, SITES
from models.metrics.schema import Measurement

ROOT = Path(__file__).parents[3]
_DIMENSIONS = {
    "site",
    "device",
    "model",
    "by",
    "outcome",
    "reason",
    "identity",
    "what",
    "fault",
    "address",
    "service",
    "instance",
    "group",
    "topic",
    "live",
    "tried",
}


def test_no_tag_is_any_other_than_these() -> None:
    assert {tag.name for measurement in MEASUREMENTS for tag in measurement.tags} == _DIMENSIONS


@pytest.mark.parametrize("measurement", MEASUREMENTS, ids=lambda measurement: measurement.name)
def test_names_are_plain_and_none_is_a_tag_and_a_field(measurement: Measurement) -> None:
    tags, fields = [tag.name for tag in measurement.tags], [field.name for field in measurement.fields]
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in (measurement.name, *tags, *fields))
    assert len({*tags, *fields}) == len(tags) + len(fields)
    assert measurement.readers
    assert fields


def test_what_is_not_in_the_table_is_a_mistake() -> None:
    with pytest.raises(KeyError, match="answers has no tag visitor"):
        ANSWERS.line(0, {"site": "park", "visitor": "v-1"}, {"n": 1})
    with pytest.raises(KeyError, match="answers has no field visitor"):
        ANSWERS.line(0, {"site": "park"}, {"visitor": "v-1"})
    with pytest.raises(ValueError, match="no value of the tag by"):
        ANSWERS.line(0, {"site": "park", "by": "charm"}, {"n": 1})


@pytest.mark.parametrize(("field", "value"), [("n", 1.5), ("n", True), ("n", "1"), ("reason", 1)])
def test_a_value_of_another_type_is_a_mistake_since_influxdb_would_refuse_the_point(
    field: str, value: float | str
) -> None:
    with pytest.raises(TypeError, match=field):
        DEAD_LETTERS.line(0, {}, {field: value})


def test_a_float_may_be_a_whole_number() -> None:
    assert SITES.line(5, {"site": "park"}, {"oldest_s": 3}) == "sites,site=park oldest_s=3.0 5"


def test_what_is_none_is_left_out() -> None:
    assert REPORTS.line(5, {"site": "park", "fault": None}, {"n": 1, "cm": None}) == "reports,site=park n=1i 5"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20))
def test_a_tag_s_value_never_leaves_it(name: str) -> None:
    line = DEVICES.line(1, {"site": name}, {"online": True})
    head, body, at = re.split(r"(?<!\\)(?:\\\\)* ", line) if name[-1] != "\\" else line.rsplit(" ", 2)
    assert (body, at) == ("online=true", "1")
    assert head.startswith("devices,site=")
    assert "\n" not in line


def test_series_are_bounded_by_dispensers_and_words_of_ours() -> None:
    """Each measurement's series: the product of its tags' values, with 100 sites of 10 dispensers each."""
    operators = {"site": 100, "device": 10, "address": 4, "service": 1, "instance": 1}
    for measurement in MEASUREMENTS:
        series = 1
        for tag in measurement.tags:
            series *= len(tag.values) + 1 if tag.values else operators[tag.name]
        per_dispenser = 150 * 1_000
        assert series <= per_dispenser, measurement.name
    assert {tag.name for m in MEASUREMENTS for tag in m.tags if tag.values is None} == operators.keys()
    assert FACE_MODELS.keys() <= {value for tag in MEASUREMENTS[2].tags for value in tag.values or ()}


def test_every_count_of_a_service_is_in_the_table() -> None:
    modules = (path for path in (ROOT / "stream_processors").rglob("*.py") if path.parent.name != "replay")
    text = "".join(path.read_text() for path in modules)
    assert text
    counted = set(re.findall(r'count\("([a-z_]+)"', text)) | {"decided", "redelivered"}
    assert counted <= {field.name for field in SERVICES.fields}


def test_the_page_of_metrics_is_the_table() -> None:
    prose, mark, written = PAGE.read_text().partition(MARK)
    assert prose
    assert mark
    assert written == tables(), "python -m infra.setup.metric_docs writes it"
