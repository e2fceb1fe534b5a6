import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract.dead_letters import DeadLetter
from models.contract.messages import Ack, Control, DeviceState, Dispense, Forgotten, Refuse
from models.contract.topics import Topics
from models.ledger.outcomes import Answered, ControlChanged, EpochBegan, Held, Outcome, ReportKept, Resumed, SiteCounted
from models.ledger.pseudonyms import pseudonym
from stream_processors.runtime.health import Vitals
from stream_processors.sink.points import (
    control_point,
    dead_letter_point,
    lag_point,
    outcome_point,
    service_point,
    state_point,
)

TOPICS = Topics()

AT = 1_700_000_000_123
ID = "request-0000000001"
VISITOR = pseudonym(b"s" * 32, "gate", ID, 7)
GRANTED = Answered(
    site="park",
    device="gate",
    offset=7,
    at=AT,
    by="face",
    command=Dispense(request=ID, cm=60),
    identity="same",
    visitor=VISITOR,
    score=500,
    model="synthetic/1",
)
REFUSED = Answered(
    site="park",
    device="gate",
    offset=8,
    at=AT,
    by="face",
    command=Refuse(request=ID, reason="quota", retry_after_s=440),
    visitor=VISITOR,
)
FORGOTTEN = Answered(
    site="park", device="gate", offset=9, at=AT, by="forget", command=Forgotten(request=ID, erased=2), repeated=True
)
KEPT = ReportKept(
    site="park", device="gate", offset=10, at=AT, command=Ack(numbers=(3,)), what="dispensed", cm=22, fault="empty"
)
COUNTED = SiteCounted(site="park", offset=11, at=AT, templates=3, accounts=5, oldest_s=12.5, window_s=540)


def test_a_report_and_a_tick_are_one_line_each() -> None:
    assert outcome_point(KEPT, AT + 17) == (
        "reports,site=park,device=gate,what=dispensed,fault=empty"
        " n=1i,number=3i,cm=22i,excess_cm=0i,missing=0i 1700000000123000010"
    )
    assert outcome_point(COUNTED, AT + 17) == (
        "sites,site=park templates=3i,accounts=5i,oldest_s=12.5,decided_ms=17i,window_s=540i"
        ',mode="button",held=false,epoch=0i,epoch_age_s=0.0,wrongful=0.0,missed=0.0'
        ",clock_corrections=0i 1700000000123000011"
    )


@pytest.mark.parametrize("outcome", [GRANTED, REFUSED, FORGOTTEN])
def test_an_answer_to_a_person_is_no_point(outcome: Outcome) -> None:
    assert outcome_point(outcome, AT + 17) is None


@pytest.mark.parametrize(
    ("receipt", "line"),
    [
        (
            Held(site="park", offset=9, at=AT, templates=3, accounts=5, oldest_s=12.5, why="a complaint", by="ann"),
            "receipts,site=park,what=held templates=3i,accounts=5i 1700000000123000009",
        ),
        (
            Resumed(site="park", offset=9, at=AT, mode="face", why="mended", by="ann"),
            "receipts,site=park,what=resumed templates=0i,accounts=0i 1700000000123000009",
        ),
        (
            EpochBegan(site="park", offset=9, at=AT, epoch=4, templates=3, accounts=5),
            "receipts,site=park,what=epoch templates=3i,accounts=5i,epoch=4i 1700000000123000009",
        ),
    ],
)
def test_a_receipt_shows_what_was_erased_and_neither_who_did_it_nor_why(receipt: Outcome, line: str) -> None:
    assert outcome_point(receipt, AT) == line


def test_a_control_is_an_annotation() -> None:
    control = Control(
        site="park", mode="face", policy="0123456789ab", epoch=2, ration_cm=60, ration_budget_cm=6000, window_s=540
    )
    assert (
        outcome_point(ControlChanged(site="park", offset=1, at=AT, control=control, revision=control.revision), AT)
        is None
    )
    assert control_point(control, 4, AT) == (
        'controls,site=park mode="face",policy="0123456789ab",epoch=2i 1700000000123000004'
    )


def test_a_device_s_state_and_a_dead_letter_are_one_line() -> None:
    state = DeviceState(online=False, firmware="2.4.0", mode="face")
    letter = DeadLetter.of("fairroll/v1/park/gate/request", b"?", "not JSON", TOPICS)
    assert state_point("park", "gate", state, 3, AT) == (
        'devices,site=park,device=gate online=false,mode="face",firmware="2.4.0" 1700000000123000003'
    )
    assert dead_letter_point(letter, 5, AT) == (
        'dead_letters n=1i,size=1i,reason="not JSON",source="fairroll/v1/park/gate/request" 1700000000123000005'
    )


def vitals(*, alive: bool = True, ready: bool = True) -> Vitals:
    counts = {"decided": 7, "moonlight": 1}
    return Vitals(service="decider", instance="1", alive=alive, ready=ready, up_s=4, counts=counts)


@pytest.mark.parametrize(
    ("seen", "state"),
    [(vitals(), 3), (vitals(ready=False), 2), (vitals(alive=False), 1), (vitals(alive=False, ready=False), 1)],
)
def test_a_service_is_one_line_with_its_state_and_the_counts_that_the_table_knows(seen: Vitals, state: int) -> None:
    assert service_point("10.0.0.1:9102", seen, AT) == (
        "services,address=10.0.0.1:9102,service=decider,instance=1"
        f" decided=7i,state={state}i,up_s=4.0 1700000000123000000"
    )


def test_no_answer_is_a_state_of_the_service_that_answered_there_before() -> None:
    assert service_point("10.0.0.1:9102", None, AT, vitals()) == (
        "services,address=10.0.0.1:9102,service=decider,instance=1 state=0i 1700000000123000000"
    )
    assert service_point("10.0.0.1:9102", None, AT) == "services,address=10.0.0.1:9102 state=0i 1700000000123000000"


def test_lag_is_one_line() -> None:
    assert lag_point("egress", "decisions", 3, 0.25, AT) == (
        "lag,group=egress,topic=decisions records=3i,seconds=0.25 1700000000123000000"
    )


words = st.text(st.characters(codec="utf-8"), max_size=20)


@given(words, words)
def test_text_in_a_field_never_leaves_it(firmware: str, reason: str) -> None:
    letter = DeadLetter(source=firmware, reason=reason, size=1, sha256="")
    for line in (
        state_point("park", "gate", DeviceState(online=True, firmware=firmware), 0, AT),
        dead_letter_point(letter, 0, AT),
    ):
        assert line.count("\n") == 0
        assert re.fullmatch(r'\S+ ([a-z_]+=([a-z0-9.]+|"([^"\\]|\\["\\])*")(,(?! )|(?= )))+ \d+', line, re.DOTALL)


def test_escaped_text_means_the_same() -> None:
    state = DeviceState(online=True, firmware='a"b\\c,d=e f\ng')
    assert 'firmware="a\\"b\\\\c,d=e f g"' in state_point("park", "gate", state, 0, AT)


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_two_decisions_of_one_millisecond_are_two_points_and_one_written_twice_is_one(one: int, other: int) -> None:
    first, second, again = (_stamp(offset) for offset in (one, other, one))
    assert first == again
    assert (first == second) == (one % 1_000_000 == other % 1_000_000)
    assert first // 1_000_000 == AT


def _stamp(offset: int, **changes: Any) -> int:
    counted = SiteCounted(site="park", offset=offset, at=AT, templates=1, accounts=1, oldest_s=0.0, **changes)
    return int(str(outcome_point(counted, AT)).rpartition(" ")[2])
