"""JSON that two parsers could read differently is refused, whatever its content."""

import base64
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract.codec import decode_command, decode_control, decode_report, decode_request, decode_state
from models.contract.dead_letters import DeadLetter
from models.contract.strict_json import check_unambiguous
from models.contract.topics import Topics
from models.errors import MalformedMessage

BUTTON = b'{"kind":"button","id":"request-0000000001"%s}'
FACE = base64.b64encode(bytes(range(64)))
FROM_MQTT: list[Callable[[bytes], object]] = [
    decode_request,
    decode_report,
    decode_state,
    decode_command,
    decode_control,
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)


def reason(decode: Callable[[bytes], object], payload: bytes) -> str:
    with pytest.raises(MalformedMessage) as error:
        decode(payload)
    return str(error.value)


@pytest.mark.parametrize("decode", FROM_MQTT)
@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (BUTTON % b',"id":"request-0000000002"', "not JSON: repeated name `id`"),
        (BUTTON % b',"kind":"staff"', "not JSON: repeated name `kind`"),
        (BUTTON % b',"kind":"button"', "not JSON: repeated name `kind`"),
        (BUTTON % b',"i\\u0064":1', "not JSON: repeated name `id`"),
        (BUTTON % b',"more":[{"a":1,"b":2,"a":3}]', "not JSON: repeated name `a`"),
        (BUTTON % b',"%s":1,"%s":2' % (FACE, FACE), "not JSON: repeated name (not quoted)"),
        (BUTTON % b',"note":"\xff"', "not JSON: invalid UTF-8 at byte 51"),
        (BUTTON % b',"\xc3\x28":1', "not JSON: invalid UTF-8 at byte 44"),
        (BUTTON % b',"note":"\xed\xa0\x80"', "not JSON: invalid UTF-8 at byte 51"),
    ],
)
def test_a_repeated_name_or_invalid_utf_8_is_refused_in_every_message_of_mqtt(
    decode: Callable[[bytes], object], payload: bytes, expected: str
) -> None:
    assert reason(decode, payload) == expected


@given(json_values)
def test_json_without_repeated_names_is_unambiguous(value: object) -> None:
    check_unambiguous(json.dumps(value).encode())
    check_unambiguous(json.dumps(value, ensure_ascii=False).encode(errors="replace"))


@given(st.dictionaries(st.text(max_size=9), json_values, min_size=1, max_size=5), st.data())
def test_any_repeated_name_is_found(members: dict[str, object], data: st.DataObject) -> None:
    written = [(json.dumps(name), json.dumps(value)) for name, value in members.items()]
    again = data.draw(st.sampled_from(written))
    written.insert(data.draw(st.integers(0, len(written))), again)
    payload = "{" + ",".join(f"{name}:{value}" for name, value in written) + "}"
    assert "repeated name" in reason(check_unambiguous, f"[1,{payload}]".encode())


def test_an_integer_of_thousands_of_digits_is_left_to_the_decoder() -> None:
    check_unambiguous(b'{"more":' + b"9" * 10_000 + b"}")


def test_a_dead_letter_keeps_no_report_with_a_repeated_name() -> None:
    payload = b'{"kind":"stock","number":1,"cm":9,"cm":8400}'
    assert DeadLetter.of("fairroll/v1/park/gate/report", payload, "a reason", Topics()).payload is None
