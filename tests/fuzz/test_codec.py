"""Any bytes decode to a value that encodes again, or raise MalformedMessage, which quotes no face."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contract.codec import (
    decode_command,
    decode_control,
    decode_dead_letter,
    decode_report,
    decode_request,
    decode_state,
    encode,
)
from models.contract.dead_letters import DeadLetter
from models.contract.messages import (
    Ack,
    Battery,
    ButtonPressed,
    Control,
    Declined,
    DeviceState,
    Dispense,
    Dispensed,
    FaceSeen,
    ForgetRequested,
    Forgotten,
    LocalRation,
    Refuse,
    StaffPressed,
    Stock,
)
from models.errors import MalformedMessage
from models.ledger.codec import decode_event, decode_outcome, decode_row
from models.ledger.events import Reported, Requested, SiteConfigured, Ticked, UnreadableReport
from models.ledger.outcomes import Answered, ControlChanged, ReportKept, SiteCounted
from models.ledger.rows import DispenserAccount, Entry, PartitionRow, Settlement, SiteRow, VisitorAccount
from models.ledger.rules.policy import Policy

ID = "request-0000000001"
TEMPLATE = bytes(range(100, 164))
FACE = base64.b64encode(TEMPLATE).decode()
REQUESTS = (
    FaceSeen(id=ID, model="synthetic/1", epoch=2, template=TEMPLATE),
    ButtonPressed(id=ID),
    StaffPressed(id=ID),
    ForgetRequested(id=ID, model="synthetic/1", template=TEMPLATE),
)
REPORTS = (
    Dispensed(number=1, ago_ms=5_002, request=ID, cm=22, fault="empty"),
    Declined(number=2, request=ID, reason="closed"),
    LocalRation(number=3, request=ID, cm=0, fault="power"),
    Stock(number=4, cm=8400),
    Battery(number=5, percent=76),
)
DISPENSE, REFUSE = Dispense(request=ID, cm=60), Refuse(request=ID, reason="quota", retry_after_s=440)
COMMANDS = (
    DISPENSE,
    REFUSE,
    Forgotten(request=ID, erased=1),
    Ack(numbers=(17, 18)),
    Ack(numbers=(4,), reason="a reason"),
)
CONTROL = Control(
    site="park", mode="face", policy="41ae3a6be759", epoch=0, ration_cm=60, ration_budget_cm=6000, window_s=540
)
OF_GATE: dict[str, Any] = {"site": "park", "device": "gate"}
ENTRY, SETTLEMENT = Entry("gate", ID, 9, "face", DISPENSE), Settlement("gate", ID, 9, 22, "empty")
SPOKEN: dict[Callable[[bytes], object], tuple[object, ...]] = {
    decode_request: REQUESTS,
    decode_report: REPORTS,
    decode_command: COMMANDS,
    decode_state: (DeviceState(online=True, firmware="2.4.0", mode="face", model="dlib-resnet/1"),),
    decode_control: (CONTROL,),
    decode_event: (
        *(Requested(**OF_GATE, request=request, patience_s=3) for request in REQUESTS),
        *(Reported(**OF_GATE, report=report) for report in REPORTS),
        Reported(**OF_GATE, report=UnreadableReport(number=4, reason="a reason")),
        SiteConfigured(site="park", mode="face", policy=Policy()),
        Ticked(),
    ),
    decode_outcome: (
        Answered(**OF_GATE, offset=1, at=9, by="face", command=REFUSE, identity="same", visitor="v", score=400),
        ReportKept(**OF_GATE, offset=1, at=9, command=Ack(numbers=(4,)), what="stock", stock_cm=8400),
        ControlChanged(site="park", offset=1, at=9, control=CONTROL, revision=CONTROL.revision),
        SiteCounted(site="park", offset=1, at=9, templates=3, accounts=4, oldest_s=12.5),
    ),
    decode_dead_letter: (DeadLetter(source="fairroll/v1/park/gate/report", reason="not JSON", size=2, sha256="00"),),
    decode_row: (
        VisitorAccount(offset=1, at=9, model="synthetic/1", epoch=0, template=TEMPLATE, entries=(ENTRY,)),
        DispenserAccount(offset=1, at=9, entries=(ENTRY, SETTLEMENT)),
        SiteRow(offset=1, at=9, mode="face", policy=Policy(), floor=5),
        PartitionRow(offset=1, at=9),
    ),
}

each_decoder = pytest.mark.parametrize("decode", SPOKEN, ids=lambda decode: decode.__name__)
alone = settings(max_examples=80)

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from([FACE, f"{FACE[:60]}\u2028{FACE}", "dispense", ID, "x" * 5000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9) | st.just(FACE), inner, max_size=3),
    max_leaves=6,
)


@each_decoder
def test_any_encoded_message_decodes_again(decode: Callable[[bytes], object]) -> None:
    for value in SPOKEN[decode]:
        assert decode(encode(value)) == value


@each_decoder
def test_a_face_in_the_wrong_place(decode: Callable[[bytes], object]) -> None:
    for value in SPOKEN[decode]:
        for message in with_a_face(json.loads(encode(value))):
            survives(decode, json.dumps(message).encode())


@each_decoder
@alone
@given(payload=st.binary(max_size=400))
def test_random_bytes(decode: Callable[[bytes], object], payload: bytes) -> None:
    survives(decode, payload)


@each_decoder
@alone
@given(data=st.data())
def test_a_message_with_some_of_its_bytes_changed(decode: Callable[[bytes], object], data: st.DataObject) -> None:
    payload = bytearray(encode(data.draw(st.sampled_from(SPOKEN[decode]))))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(payload)))
        end = start + data.draw(st.integers(0, 3))
        payload[start:end] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b'"', b"{", b"}", b"\\u", b",", b"9e9"])
        )
    survives(decode, bytes(payload))


@each_decoder
@alone
@given(data=st.data())
def test_a_message_with_something_else_in_some_of_its_places(
    decode: Callable[[bytes], object], data: st.DataObject
) -> None:
    message = json.loads(encode(data.draw(st.sampled_from(SPOKEN[decode]))))
    for _ in range(data.draw(st.integers(1, 2))):
        change(message, data)
    survives(decode, json.dumps(message).encode(errors="surrogatepass"))


@each_decoder
@alone
@given(data=st.data())
def test_a_message_of_another_type_decodes_or_raises_malformed_message(
    decode: Callable[[bytes], object], data: st.DataObject
) -> None:
    others = data.draw(st.sampled_from([value for values in SPOKEN.values() for value in values]))
    message = json.loads(encode(others)) | data.draw(st.dictionaries(st.sampled_from(["kind", "v", FACE]), anything))
    survives(decode, json.dumps(message).encode(errors="surrogatepass"))


def change(message: Any, data: st.DataObject) -> None:
    """Somewhere in a JSON value: another value, a name more, a name less."""
    place = message
    while True:
        names = list(place) if isinstance(place, dict) else list(range(len(place)))
        name = data.draw(st.sampled_from([*names, FACE] if isinstance(place, dict) else [*names, 0]))
        inner = place[name] if name in names else None
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        place = inner
    if isinstance(place, dict) and name in place and data.draw(st.booleans()):
        del place[name]
    elif isinstance(place, list):
        place[name : name + 1] = [data.draw(anything)]
    else:
        place[name] = data.draw(anything)


def survives(decode: Callable[[bytes], object], payload: bytes) -> None:
    try:
        value = decode(payload)
    except MalformedMessage as error:
        reason = str(error)
    else:
        assert decode(encode(value)) == value
        return
    assert not any(FACE[start : start + 12] in reason for start in range(len(FACE) - 11)), reason


def with_a_face(message: Any) -> Iterator[Any]:
    """The same JSON value with a face in each of its places, and beside each of its names."""
    match message:
        case dict():
            yield message | {FACE: 1}
            for name, inner in message.items():
                yield from (message | {name: other} for other in (FACE, f"'{FACE}`", *with_a_face(inner)))
        case list():
            for where, inner in enumerate(message):
                yield from ([*message[:where], other, *message[where + 1 :]] for other in (FACE, *with_a_face(inner)))
