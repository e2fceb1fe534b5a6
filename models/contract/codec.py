"""Bytes to typed values and back, once, at the edge.

Bytes that violate the contract raise MalformedMessage. Its text names the place and the expectation and never quotes
a value that could hold a face, so it can be stored in a dead letter.
"""

import re
from typing import Final, TypeVar

import msgspec

from models.contract.dead_letters import DeadLetter
from models.contract.messages import Command, Control, DeviceState, FaceSeen, ForgetRequested, Number, Report, Request
from models.contract.strict_json import check_unambiguous
from models.errors import MalformedMessage

__all__ = [
    "MAX_PAYLOAD_BYTES",
    "decode",
    "decode_command",
    "decode_control",
    "decode_dead_letter",
    "decode_report",
    "decode_request",
    "decode_state",
    "encode",
    "report_number",
]

MAX_PAYLOAD_BYTES: Final = 4096
"""The largest message that a device may send; a face request has about 250 bytes."""

_T = TypeVar("_T")
_QUOTED = re.compile(r"(?<=value )(['\"])(.*)\1|(?<=unknown field )`(.*)`(?= - at `)", re.DOTALL)
"""Matches the values that msgspec quotes: an unknown kind, word or field."""
_WORD = re.compile(r"[a-z_]{1,20}")


class _Numbered(msgspec.Struct):
    """The field that every report has."""

    number: Number


_request: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_report: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)
_numbered: msgspec.json.Decoder[_Numbered] = msgspec.json.Decoder(_Numbered)
_command: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_state: msgspec.json.Decoder[DeviceState] = msgspec.json.Decoder(DeviceState)
_control: msgspec.json.Decoder[Control] = msgspec.json.Decoder(Control)
_dead_letter: msgspec.json.Decoder[DeadLetter] = msgspec.json.Decoder(DeadLetter)

encode = msgspec.json.Encoder().encode
"""JSON, UTF-8, bytes as base64; the same value gives the same bytes."""


def decode_request(payload: bytes) -> Request:
    """Decode a device's request; its template must not be null."""
    request: Request = _from_device(_request, payload)
    if isinstance(request, FaceSeen | ForgetRequested) and request.template is None:
        raise MalformedMessage("Expected `bytes`, got `null` - at `$.template`")
    return request


def decode_report(payload: bytes) -> Report:
    """Decode a device's report."""
    return _from_device(_report, payload)


def report_number(payload: bytes) -> int | None:
    """Return the number of an otherwise unreadable report; None if it has none."""
    try:
        return _numbered.decode(payload).number
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def decode_state(payload: bytes) -> DeviceState:
    """Decode a device's retained state."""
    return _from_device(_state, payload)


def decode_command(payload: bytes) -> Command:
    """Decode a command."""
    return _from_mqtt(_command, payload)


def decode_control(payload: bytes) -> Control:
    """Decode a site's retained control."""
    return _from_mqtt(_control, payload)


def decode_dead_letter(payload: bytes) -> DeadLetter:
    """Decode a record of `fairroll.dead-letters`."""
    return decode(_dead_letter, payload)


def _from_device(decoder: "msgspec.json.Decoder[_T]", payload: bytes) -> _T:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise MalformedMessage(f"payload of {len(payload)} bytes, at most {MAX_PAYLOAD_BYTES} are read")
    return _from_mqtt(decoder, payload)


def _from_mqtt(decoder: "msgspec.json.Decoder[_T]", payload: bytes) -> _T:
    check_unambiguous(payload)
    return decode(decoder, payload)


def decode(decoder: "msgspec.json.Decoder[_T]", payload: bytes) -> _T:
    """Decode with the decoder of a type; raises MalformedMessage."""
    try:
        return decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise MalformedMessage(_QUOTED.sub(_if_a_word, str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(f"not JSON: {error}"[:300]) from None


def _if_a_word(quoted: re.Match[str]) -> str:
    """Quote a short word, such as a misspelt kind; a longer value could be a template in the wrong field."""
    return quoted[0] if _WORD.fullmatch(quoted[2] or quoted[3] or "") else "(not quoted)"
