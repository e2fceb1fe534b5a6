"""A report that lay in the dead letters, read again with the sites file as it is now."""

import pytest
from msgspec import structs

from infra.dead_letters import by_reason, read_again
from models.contract.codec import encode
from models.contract.dead_letters import DeadLetter
from models.contract.messages import Battery, ButtonPressed, Dispensed, Report, Stock
from models.contract.topics import Topics
from models.errors import MalformedMessage
from models.ledger.events import Reported
from models.ledger.policy import Sites, SiteSpec

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
    with pytest.raises(MalformedMessage, match="says nothing of now"):
        read_again(letter(measurement), 60.0, TOPICS, MENDED)


def test_a_request_is_never_sent_again() -> None:
    with pytest.raises(MalformedMessage, match="not kept"):
        read_again(letter(ButtonPressed(id="request-0000000001"), "request"), 60.0, TOPICS, MENDED)


def test_reasons_are_counted_without_their_cases() -> None:
    reasons = ["not JSON: byte 3", "unknown site or device: park/a", "unknown site or device: park/b"]
    letters = [DeadLetter.of(TOPIC, b"", reason, TOPICS) for reason in reasons]
    assert list(by_reason(letters).items()) == [("unknown site or device", 2), ("not JSON", 1)]
