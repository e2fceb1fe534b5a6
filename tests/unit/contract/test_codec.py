import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract.codec import (
    MAX_PAYLOAD_BYTES,
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
    Command,
    Control,
    Declined,
    DeviceState,
    Dispense,
    Dispensed,
    FaceSeen,
    Forgotten,
    LocalRation,
    Refuse,
    Report,
    Request,
    Stock,
)
from models.contract.topics import Topics
from models.errors import MalformedMessage
from models.ledger.codec import decode_event, decode_outcome, decode_row
from models.ledger.events import Event, Reported, Requested, SiteConfigured, Ticked, UnreadableReport
from models.ledger.rules.policy import Policy

TOPICS = Topics()

Decoder = Callable[[bytes], object]

ID = "request-0000000001"
TEMPLATE = bytes(range(64))
WRITTEN = base64.b64encode(TEMPLATE)
FACE = {"kind": "face", "id": ID, "model": "synthetic/1", "template": WRITTEN.decode()}
FROM_DEVICES: list[Decoder] = [decode_request, decode_report, decode_state]
DECODERS: list[Decoder] = [
    *FROM_DEVICES,
    decode_command,
    decode_control,
    decode_event,
    decode_outcome,
    decode_dead_letter,
    decode_row,
]

numbers = st.integers(1, 2**53)
centimetres = st.integers(0, 100_000)
ago_ms = st.integers(0, 10**12)
names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
ids = st.from_regex(r"[A-Za-z0-9_-]{16,64}", fullmatch=True)
faces = st.builds(
    FaceSeen,
    id=ids,
    model=st.from_regex(r"[a-z0-9][a-z0-9./-]{0,62}", fullmatch=True),
    epoch=numbers,
    template=st.binary(min_size=64, max_size=64),
)
faults = st.sampled_from([None, "jam", "empty"])
reports: st.SearchStrategy[Report] = st.one_of(
    st.builds(Dispensed, number=numbers, ago_ms=ago_ms, request=ids, cm=centimetres, fault=faults),
    st.builds(LocalRation, number=numbers, ago_ms=ago_ms, request=ids, cm=centimetres, fault=faults),
    st.builds(Declined, number=numbers, ago_ms=ago_ms, request=ids, reason=st.sampled_from(["late", "retained"])),
    st.builds(Stock, number=numbers, ago_ms=ago_ms, cm=st.integers(0, 10_000_000)),
    st.builds(Battery, number=numbers, ago_ms=ago_ms, percent=st.integers(0, 100)),
)
unreadable = st.builds(UnreadableReport, number=numbers, reason=st.text(max_size=300))
commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(Dispense, request=ids, cm=centimetres),
    st.builds(Refuse, request=ids, reason=st.sampled_from(["quota", "button_budget"]), retry_after_s=numbers),
    st.builds(Forgotten, request=ids, erased=numbers),
    st.builds(Ack, numbers=st.lists(numbers, max_size=3).map(tuple), reason=st.none() | st.text(max_size=300)),
)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Requested, site=names, device=names, request=faces, patience_s=st.none() | st.integers(0, 99)),
    st.builds(Reported, site=names, device=names, report=reports | unreadable),
    st.builds(SiteConfigured, site=names, mode=st.sampled_from(["face", "button"]), policy=st.just(Policy())),
    st.just(Ticked()),
)


def reason(decode: Decoder, payload: bytes) -> str:
    with pytest.raises(MalformedMessage) as error:
        decode(payload)
    return str(error.value)


def refusal(decode: Decoder, payload: bytes) -> str | None:
    """The reason, or None for a value; any other error is one of ours."""
    try:
        decode(payload)
    except MalformedMessage as error:
        return str(error)
    return None


def written(**changes: Any) -> bytes:
    return json.dumps(FACE | changes).encode()


@given(faces)
def test_a_request_survives_encoding_and_decoding(request: Request) -> None:
    assert decode_request(encode(request)) == request


@given(reports)
def test_a_report_survives_encoding_and_decoding(report: Report) -> None:
    assert decode_report(encode(report)) == report


@given(commands)
def test_a_command_survives_encoding_and_decoding(command: Command) -> None:
    assert decode_command(encode(command)) == command


@given(events)
def test_an_event_survives_encoding_and_decoding_byte_for_byte(event: Event) -> None:
    assert decode_event(encode(event)) == event
    assert encode(decode_event(encode(event))) == encode(event)


def test_state_control_and_dead_letter_come_back_as_they_were() -> None:
    state = DeviceState(online=True, firmware="1", mode="face", model="synthetic/1")
    control = Control(
        site="park", mode="held", policy="0123456789ab", epoch=3, ration_cm=60, ration_budget_cm=6000, window_s=540
    )
    letter = DeadLetter.of("fairroll/v1/park/gate/request", b"?", "not JSON", TOPICS)
    assert decode_state(encode(state)) == state
    assert decode_control(encode(control)) == control
    assert decode_dead_letter(encode(letter)) == letter


def test_unknown_fields_are_tolerated() -> None:
    assert decode_request(written(clock="1970-01-01", nested={"a": [1]})) == decode_request(written())


@pytest.mark.parametrize(
    ("decode", "payload", "expected"),
    [
        (decode_request, b"", "not JSON"),
        (decode_request, b"\xff\xfe", "not JSON"),
        (decode_request, b"half {", "not JSON"),
        (decode_request, written() + b"}", "not JSON"),
        (decode_request, b"[]", "Expected `object`, got `array`"),
        (decode_request, b"{}", "missing required field `kind`"),
        (decode_request, written(kind="dispense"), "'dispense' - at `$.kind`"),
        (decode_request, written(id="short"), "at `$.id`"),
        (decode_request, written(id=ID + "\n"), "at `$.id`"),
        (decode_request, written(model="synthetic/1\n"), "at `$.model`"),
        (decode_request, written(model="synthetic/1,site=other"), "at `$.model`"),
        (decode_request, written(epoch=-1), "at `$.epoch`"),
        (decode_request, written(template=None), "Expected `bytes`, got `null` - at `$.template`"),
        (decode_request, written(template=base64.b64encode(bytes(63)).decode()), "at `$.template`"),
        (decode_request, written(template=base64.b64encode(bytes(65)).decode()), "synthetic/1 has 64 bytes, not 65"),
        (decode_request, written(template=base64.b64encode(bytes(513)).decode()), "at `$.template`"),
        (decode_request, written(model="other/1", template=base64.b64encode(bytes(65)).decode()), "multiple of 8"),
        (decode_request, written(template="not base64!"), "at `$.template`"),
        (decode_request, b'{"kind":"face","epoch":NaN}', "not JSON"),
        (decode_report, b'{"kind":"stock","number":1,"cm":NaN}', "not JSON"),
        (decode_report, b'{"kind":"stock","number":1,"cm":60.5}', "got `float` - at `$.cm`"),
        (decode_report, b'{"kind":"stock","number":0,"cm":60}', "at `$.number`"),
        (decode_report, b'{"kind":"stock","number":9007199254740993,"cm":60}', "at `$.number`"),
        (decode_report, b'{"kind":"stock","number":1,"cm":60,"ago_ms":-1}', "at `$.ago_ms`"),
        (decode_report, b'{"kind":"stock","number":1,"cm":60,"ago_ms":1e999}', "out of range"),
        (decode_state, b'{"online":1}', "at `$.online`"),
        (decode_event, b'{"kind":"ticked","v":2}', "at `$.v`"),
        (decode_event, b'{"kind":"erased","v":1}', "at `$.kind`"),
        (decode_event, b'{"kind":"configured","site":"Park!","mode":"face","policy":{}}', "at `$.site`"),
    ],
)
def test_a_message_that_violates_the_contract_is_refused_with_the_place(
    decode: Decoder, payload: bytes, expected: str
) -> None:
    assert expected in reason(decode, payload)


@pytest.mark.parametrize("decode", FROM_DEVICES)
@pytest.mark.parametrize("size", [MAX_PAYLOAD_BYTES + 1, 1_000_000])
def test_a_message_that_is_too_large_is_not_decoded(decode: Decoder, size: int) -> None:
    assert reason(decode, b" " * size) == f"payload of {size} bytes, at most {MAX_PAYLOAD_BYTES} are read"


def test_the_largest_message_is_read() -> None:
    padded = written().ljust(MAX_PAYLOAD_BYTES)
    assert decode_request(padded) == decode_request(written())


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("depth", [700, 100_000])
def test_deep_nesting_is_malformed_and_no_crash(decode: Decoder, opening: bytes, depth: int) -> None:
    assert reason(decode, opening * depth)


@pytest.mark.parametrize("decode", DECODERS)
@given(payload=st.binary(max_size=300))
def test_any_bytes_are_a_value_or_malformed(decode: Decoder, payload: bytes) -> None:
    is_value_or_malformed(decode, payload)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)


@pytest.mark.parametrize("decode", DECODERS)
@given(place=st.sampled_from(["kind", "id", "model", "template", "number", "site", "v", "more"]), value=json_values)
def test_any_json_in_any_place_is_a_value_or_malformed(decode: Decoder, place: str, value: object) -> None:
    is_value_or_malformed(decode, json.dumps(FACE | {place: value}).encode())


def is_value_or_malformed(decode: Decoder, payload: bytes) -> None:
    assert refusal(decode, payload) != ""


@given(st.data())
def test_a_damaged_face_never_stands_in_the_reason(data: st.DataObject) -> None:
    payload = bytearray(written())
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    assert not quotes_a_face(refusal(decode_request, bytes(payload)) or "")


@pytest.mark.parametrize(
    ("decode", "payload"),
    [
        (decode_request, FACE | {"kind": FACE["template"]}),
        (decode_request, FACE | {"id": FACE["template"]}),
        (decode_request, FACE | {"model": FACE["template"]}),
        (decode_request, FACE | {"template": f"{FACE['template']}="}),
        (decode_report, {"kind": "declined", "number": 1, "request": ID, "reason": FACE["template"]}),
        (decode_report, {"kind": "declined", "number": 1, "request": ID, "reason": f"'{FACE['template']}"}),
        (decode_state, {"online": True, "mode": FACE["template"]}),
    ],
)
def test_a_face_in_the_wrong_place_never_stands_in_the_reason(decode: Decoder, payload: dict[str, Any]) -> None:
    assert not quotes_a_face(reason(decode, json.dumps(payload).encode()))


def quotes_a_face(text: str) -> bool:
    face = WRITTEN.decode()
    return any(face[start : start + 12] in text for start in range(0, len(face) - 12, 4))
