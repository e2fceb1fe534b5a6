"""A local time names one moment, or is refused with what to write instead."""

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local_time import AmbiguousTime, iso_hour, iso_local, parse_moment
from infra.replay.what_if import hour_table
from infra.time_arguments import Moment
from models.replay.trial_totals import TrialCounts

ZONES = ("Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Shanghai", "Africa/Casablanca", "UTC")
AUTUMN = int(datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp())
"""02:30 in Berlin, for the first time that night"""


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("zone")
def test_what_is_printed_names_its_moment_alone() -> None:
    @given(st.integers(0, 4_000_000_000))
    def printed(at_s: int) -> None:
        shown = iso_local(at_s)
        assert parse_moment(shown) == at_s
        assert datetime.fromisoformat(shown).utcoffset() is not None
        without_offset = shown[:19]
        with suppress(AmbiguousTime):
            assert parse_moment(without_offset) == at_s

    printed()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "2026-10-25T02:30",
            "shown twice by the clocks here: write 2026-10-25T02:30+02:00 or 2026-10-25T02:30+01:00",
        ),
        (
            "2026-03-29 02:00",
            "the clocks are put forward: write 2026-03-29T01:00+01:00 or 2026-03-29T03:00+02:00",
        ),
        ("yesterday", "'yesterday' is no time such as 90s, 30m, 1h, 7d or 2026-05-01T09:30+02:00"),
        ("0001-01-01", "'0001-01-01' is no time such as"),
    ],
)
def test_an_argument_that_names_no_moment_is_refused(text: str, words: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        Moment().convert(text, None, None)
    assert words in refused.value.message


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "at_s"),
    [
        ("2026-10-25T02:30+02:00", AUTUMN),
        ("2026-10-25T02:30+01:00", AUTUMN + 3600),
        ("2026-10-25T00:30Z", AUTUMN),
        ("2026-10-25T03:00", AUTUMN + 5400),
        ("2026-03-29T03:00", int(datetime(2026, 3, 29, 1, 0, tzinfo=UTC).timestamp())),
    ],
)
def test_an_argument_with_an_offset_or_beside_the_change_is_taken(text: str, at_s: int) -> None:
    assert Moment().convert(text, None, None) == 1000 * at_s


@pytest.mark.usefixtures("berlin")
def test_no_two_hours_of_a_comparison_share_a_line() -> None:
    hours = [1000 * (AUTUMN // 3600 * 3600 + 3600 * n) for n in range(3)] + [1000 * (AUTUMN - 365 * 86_400)]
    table = hour_table({hour: TrialCounts() for hour in hours})
    assert len(table) == 4
    assert [iso_hour(hour / 1000) for hour in hours] == [
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T03:00+01:00",
        "2025-10-25T02:30+02:00",
    ]
