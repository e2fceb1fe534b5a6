import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from models.dead_letters import DeadLetter
from models.identity import pseudonym
from models.messages import Control, DeviceState, Dispense, Forgotten, Noted, Refuse
from models.outcomes import Answered, ControlChanged, Outcome, ReportKept, SiteCounted
from stream_processors.points import dead_letter_point, outcome_point, state_point

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
    site="park", device="gate", offset=10, at=AT, command=Noted(numbers=(3,)), what="dispensed", cm=22, fault="empty"
)
COUNTED = SiteCounted(site="park", offset=11, at=AT, templates=3, accounts=5, oldest_s=12.5)


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (
            GRANTED,
            (
                "requests,site=park,device=gate,by=face,outcome=dispense,identity=same,model=synthetic/1"
                " cm=60i,decided_ms=17i,score=500i,repeated=false 1700000000123000007"
            ),
        ),
        (
            REFUSED,
            (
                "requests,site=park,device=gate,by=face,outcome=refuse,reason=quota"
                " cm=0i,decided_ms=17i,retry_after_s=440i,repeated=false 1700000000123000008"
            ),
        ),
        (
            FORGOTTEN,
            (
                "requests,site=park,device=gate,by=forget,outcome=forgotten"
                " cm=0i,decided_ms=17i,erased=2i,repeated=true 1700000000123000009"
            ),
        ),
        (KEPT, 'reports,site=park,device=gate,what=dispensed cm=22i,missing=0i,fault="empty" 1700000000123000010'),
        (COUNTED, "sites,site=park templates=3i,accounts=5i,oldest_s=12.5 1700000000123000011"),
    ],
)
def test_an_outcome_is_one_line(outcome: Outcome, line: str) -> None:
    assert outcome_point(outcome, AT + 17) == line


def test_a_control_is_not_measured() -> None:
    control = Control(
        site="park", mode="face", policy="0123456789ab", epoch=0, ration_cm=60, ration_budget_cm=6000, window_s=540
    )
    assert outcome_point(ControlChanged(site="park", offset=1, at=AT, control=control), AT) is None


def test_a_device_s_state_and_a_dead_letter_are_one_line() -> None:
    state = DeviceState(online=False, firmware="2.4.0", mode="face")
    letter = DeadLetter.of("fairroll/v1/park/gate/request", b"?", "not JSON")
    assert state_point("park", "gate", state, AT) == (
        'devices,site=park,device=gate online=false,mode="face",firmware="2.4.0" 1700000000123000000'
    )
    assert dead_letter_point(letter, 5, AT) == (
        'dead_letters reason="not JSON",size=1i,source="fairroll/v1/park/gate/request" 1700000000123000005'
    )


@pytest.mark.parametrize("outcome", [GRANTED, REFUSED])
def test_a_line_carries_neither_visitor_nor_request(outcome: Outcome) -> None:
    line = str(outcome_point(outcome, AT))
    assert VISITOR not in line
    assert ID not in line


def test_a_model_that_nobody_knows_is_no_tag() -> None:
    assert ",model=" not in str(outcome_point(structs.replace(GRANTED, model="tomorrow/1"), AT))


words = st.text(st.characters(codec="utf-8"), max_size=20)


@given(words, words)
def test_text_in_a_field_never_leaves_it(firmware: str, reason: str) -> None:
    letter = DeadLetter(source=firmware, reason=reason, size=1, sha256="")
    for line in (
        state_point("park", "gate", DeviceState(online=True, firmware=firmware), AT),
        dead_letter_point(letter, 0, AT),
    ):
        assert line.count("\n") == 0
        assert re.fullmatch(r'\S+ ([a-z_]+=([a-z0-9.]+|"([^"\\]|\\["\\])*")(,(?! )|(?= )))+ \d+', line, re.DOTALL)


def test_escaped_text_means_the_same() -> None:
    state = DeviceState(online=True, firmware='a"b\\c,d=e f\ng')
    assert 'firmware="a\\"b\\\\c,d=e f g"' in state_point("park", "gate", state, AT)


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_two_decisions_of_one_millisecond_are_two_points_and_one_written_twice_is_one(one: int, other: int) -> None:
    first, second, again = (_stamp(offset) for offset in (one, other, one))
    assert first == again
    assert (first == second) == (one % 1_000_000 == other % 1_000_000)
    assert first // 1_000_000 == AT


def _stamp(offset: int, **changes: Any) -> int:
    counted = SiteCounted(site="park", offset=offset, at=AT, templates=1, accounts=1, oldest_s=0.0, **changes)
    return int(str(outcome_point(counted, AT)).rpartition(" ")[2])
