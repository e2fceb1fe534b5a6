"""What the bench writes: medians and ratios turn by turn, a page with its history, a picture."""

from pathlib import Path

import msgspec

from tests.experiments.bench.parts import Part, Row
from tests.experiments.bench.report import Run, record

DRAIN = Part(
    "drain", "a backlog", "events/s", (Row("bare", (100.0, 200.0, 400.0)), Row("decider", (90.0, 200.0, 380.0))), "bare"
)


def run(commit: str, *parts: Part) -> Run:
    return Run(commit, "2026-01-01", "2 cores", parts)


def test_a_ratio_is_taken_turn_by_turn() -> None:
    assert DRAIN.ratios(DRAIN.rows[1]) == (0.9, 1.0, 0.95)
    assert DRAIN.rows[1].median == 200


def test_a_part_without_a_base_has_no_ratios() -> None:
    assert msgspec.structs.replace(DRAIN, base="").ratios(DRAIN.rows[1]) == ()


def test_a_run_replaces_the_earlier_one_of_its_commit_and_stands_before_those_of_others(tmp_path: Path) -> None:
    for commit in ("aaa", "bbb", "bbb"):
        record(run(commit, DRAIN), tmp_path)
    runs = msgspec.json.decode((tmp_path / "benchmarks.json").read_bytes(), type=list[Run])
    assert [one.commit for one in runs] == ["bbb", "aaa"]
    assert runs[0].parts == (DRAIN,)


def test_the_page_shows_the_last_run_and_the_ratios_of_all(tmp_path: Path) -> None:
    record(run("aaa", DRAIN), tmp_path)
    record(run("bbb", DRAIN, Part("CPU", "without figures", "s", note="Quix Streams is not installed.")), tmp_path)
    page = (tmp_path / "benchmarks.md").read_text()
    assert "| decider | 200 (90.0 to 380) | 0.95 (0.90 to 1.00) |" in page
    assert "Quix Streams is not installed." in page
    assert "| aaa | 2026-01-01 | 0.95 |" in page
    assert (tmp_path / "benchmarks.svg").read_text().endswith("</svg>\n")
