"""Dead letters: which are wanted, how many there are, and reports read again with the sites file as it is now."""

from collections.abc import AsyncIterator

import pytest
from msgspec import structs
from rich.console import Console

from infra.dead_letters.reader import Filed, Filter, Summary, summarize
from infra.dead_letters.resubmission import read_again
from infra.dead_letters.screen import screen
from models.contract.codec import encode
from models.contract.dead_letters import DeadLetter
from models.contract.messages import Battery, ButtonPressed, Dispensed, Report, Stock
from models.contract.topics import Topics
from models.errors import MalformedMessage
from models.ledger.events import Reported
from models.ledger.rules.policy import Sites, SiteSpec

TOPICS = Topics()

TOPIC = "fairroll/v1/park/shed"
BEFORE = Sites(sites={"park": SiteSpec(devices=("gate",))})
MENDED = Sites(sites={"park": SiteSpec(devices=("gate", "shed"))})
REPORT = Dispensed(number=3, ago_ms=2_500, request="request-0000000001", cm=60)


def letter(report: Report | ButtonPressed, channel: str = "report") -> DeadLetter:
    return DeadLetter.of(f"{TOPIC}/{channel}", encode(report), "unknown site or device: park/shed", TOPICS)


def test_a_report_of_a_dispenser_that_is_known_now_is_older_by_the_time_that_it_lay_there() -> None:
    event = read_again(letter(REPORT), 60.0, TOPICS, MENDED)
    assert event == Reported(site="park", device="shed", report=structs.replace(REPORT, ago_ms=62_500))


def test_an_age_stays_within_the_contract() -> None:
    report = structs.replace(REPORT, ago_ms=10**12)
    assert read_again(letter(report), 60.0, TOPICS, MENDED).report == report


def test_a_report_of_a_dispenser_that_is_still_unknown_is_left_with_the_reason() -> None:
    with pytest.raises(MalformedMessage, match="unknown site or device: park/shed"):
        read_again(letter(REPORT), 60.0, TOPICS, BEFORE)


def test_a_report_that_still_breaks_the_contract_is_left_with_the_reason() -> None:
    broken = DeadLetter.of(f"{TOPIC}/report", b'{"kind":"dispensed","number":0}', "a reason", TOPICS)
    with pytest.raises(MalformedMessage, match="number"):
        read_again(broken, 60.0, TOPICS, MENDED)


@pytest.mark.parametrize("measurement", [Stock(number=1, cm=4200), Battery(number=1, percent=50)])
def test_a_measurement_is_left_for_it_would_be_taken_for_one_of_now(measurement: Report) -> None:
    with pytest.raises(MalformedMessage, match="is out of date"):
        read_again(letter(measurement), 60.0, TOPICS, MENDED)


def test_a_request_is_never_sent_again() -> None:
    with pytest.raises(MalformedMessage, match="not kept"):
        read_again(letter(ButtonPressed(id="request-0000000001"), "request"), 60.0, TOPICS, MENDED)


def filed(reason: str, source: str = f"{TOPIC}/report", at: float = 0.0) -> Filed:
    return Filed(at, DeadLetter(source=source, reason=reason, size=3, sha256="0" * 64))


async def streamed(*letters: Filed) -> AsyncIterator[Filed]:
    for one in letters:
        yield one


async def test_reasons_are_counted_without_their_cases() -> None:
    reasons = ["not JSON: byte 3", "unknown site or device: park/a", "unknown site or device: park/b"]
    summary = await summarize(streamed(*map(filed, reasons)))
    assert list(summary.reasons.items()) == [("unknown site or device", 2), ("not JSON", 1)]


async def test_only_the_newest_are_kept_and_all_are_counted() -> None:
    summary = await summarize(streamed(*(filed("not JSON", at=float(n)) for n in range(100))), limit=3)
    assert [one.at for one in summary.newest] == [97.0, 98.0, 99.0]
    assert summary.total == 100


def test_many_different_reasons_take_no_more_memory_than_some() -> None:
    summary = Summary()
    for number in range(10_000):
        summary.add(filed(f"unknown field {number}"))
    assert len(summary.reasons) == 201
    assert summary.reasons["other reasons"] == 9_800


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        (Filter(), True),
        (Filter(site="park"), True),
        (Filter(site="hall"), False),
        (Filter(reason="UNKNOWN site"), True),
        (Filter(reason="park/shed"), True),
        (Filter(reason="not JSON"), False),
        (Filter(site="park", reason="not JSON"), False),
    ],
)
def test_letters_are_chosen_by_site_and_by_a_part_of_the_reason(wanted: Filter, *, passes: bool) -> None:
    assert wanted.lets_pass(letter(REPORT), TOPICS) is passes


@pytest.mark.parametrize("source", ["fairroll.events/0/17", "fairroll/v1", "other/v1/park/shed/report", ""])
def test_what_comes_from_no_topic_of_a_site_belongs_to_none(source: str) -> None:
    one = filed("undecidable", source=source).letter
    assert Filter().lets_pass(one, TOPICS)
    assert not Filter(site="park").lets_pass(one, TOPICS)


async def test_the_screen_begins_with_the_counts_and_names_what_it_leaves_out() -> None:
    summary = await summarize(streamed(*(filed("not JSON") for _ in range(1_200))), limit=2)
    console = Console(width=80, force_terminal=False)
    with console.capture() as shown:
        console.print(screen(summary, TOPICS))
    lines = shown.get().splitlines()
    assert lines[0] == "1,200 dead letters"
    assert "  1,200  not JSON" in lines
    assert "the newest 2 (--limit)" in lines
    assert sum("park/shed/report" in line for line in lines) == 2
