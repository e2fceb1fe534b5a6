"""What a dead letter keeps of a payload, and what it never can."""

import base64
import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract.codec import decode_dead_letter, encode
from models.contract.dead_letters import DeadLetter
from models.contract.messages import Battery, Declined, Dispensed, FaceSeen, LocalRation, Report, Stock
from models.contract.topics import Topics

TOPICS = Topics()

REPORT = "fairroll/v1/park/gate/report"
LONGEST_ID = "r" * 64
REPORTS = [
    Dispensed(number=2**53, ago_ms=1_234_567, request=LONGEST_ID, cm=100_000, fault="power"),
    Declined(number=2**53, ago_ms=1_234_567, request=LONGEST_ID, reason="retained"),
    LocalRation(number=1, request=LONGEST_ID, cm=60),
    Stock(number=1, cm=10_000_000),
    Battery(number=1, percent=100),
]
WRITINGS: list[Callable[[bytes], object]] = [
    lambda t: base64.b64encode(t).decode(),
    lambda t: base64.urlsafe_b64encode(t).decode().rstrip("="),
    lambda t: base64.encodebytes(t).decode(),
    lambda t: "\n".join(base64.b64encode(t).decode()[at : at + 64] for at in (0, 64)),
    lambda t: " ".join(base64.b64encode(t).decode()[at : at + 8] for at in range(0, 88, 8)),
    lambda t: t.hex(),
    lambda t: t.hex(":"),
    lambda t: t.decode("latin-1"),
    lambda t: t.decode("utf-16-le", errors="replace"),
    lambda t: int.from_bytes(t, "big"),
    list,
    lambda t: {f"t{number}": byte for number, byte in enumerate(t)},
    lambda t: [(byte - 128) / 128 for byte in t],
    lambda t: {chr(97 + n // 26) + chr(97 + n % 26): byte / 256 for n, byte in enumerate(t)},
]


def kept(payload: bytes, source: str = REPORT) -> bytes | None:
    return DeadLetter.of(source, payload, "a reason", TOPICS).payload


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: type(report).__name__)
def test_every_kind_of_report_is_kept_as_it_is(report: Report) -> None:
    letter = DeadLetter.of(REPORT, encode(report), "unknown site or device", TOPICS)
    assert letter.payload == encode(report)
    assert decode_dead_letter(encode(letter)) == letter


def test_a_report_of_a_kind_that_is_not_known_yet_is_kept() -> None:
    payload = b'{"kind":"opened","number":7,"by_staff":true,"clock":"2026-01-02T03:04:05Z"}'
    assert kept(payload) == payload


@pytest.mark.parametrize(
    "source",
    [
        "fairroll/v1/park/gate/request",
        "fairroll/v1/park/gate/state",
        "fairroll/v1/park/gate/command",
        "fairroll/v2/park/gate/report",
        "fairroll/v1/park/GATE/report",
        "fairroll.events/0/12",
        "report",
    ],
)
def test_of_another_topic_nothing_is_kept(source: str) -> None:
    assert kept(encode(REPORTS[0]), source) is None


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not JSON",
        b'{"kind":"stock","number":1,"cm":NaN}',
        b'{"kind":"stock","number":1,"cm":1e999}',
        b"[]",
        b'{"kind":"stock","more":{}}',
        b'{"kind":"stock","more":[]}',
        b'{"kind":"st\\nock"}',
        b'{"kind":"st\xffck"}',
        '{"kind":"st\u00f6ck"}'.encode(),
        b'{"KIND":"stock"}',
        b'{"number":9007199254740993}',
        b'{"kind":"' + b"x" * 86 + b'"}',
        b'{"kind":"stock"}' + b" " * 1024,
        b'{"a":' * 200 + b"1" + b"}" * 200,
        json.dumps(dict.fromkeys("abcdefghij", 1)).encode(),
    ],
)
def test_only_a_short_flat_object_is_kept(payload: bytes) -> None:
    assert kept(payload) is None


def test_a_request_with_a_face_is_not_kept_even_where_reports_come() -> None:
    face = FaceSeen(id="request-0000000001", model="synthetic/1", template=bytes(range(64)))
    assert kept(encode(face)) is None


def test_white_space_between_the_fields_is_not_kept() -> None:
    payload = b'{"note":"",\n"cm":1, "far":0.' + b"123456789" * 9 + b"}   "
    assert kept(payload) == b'{"note":"","cm":1,"far":0.12345678912345678}'


@given(
    template=st.binary(min_size=63, max_size=63).map(lambda bits: b"\xff" + bits),
    writing=st.sampled_from(WRITINGS),
    place=st.sampled_from(["kind", "request", "fault", "reason", "cm", "number", "note", "template"]),
    report=st.sampled_from(REPORTS),
)
def test_a_report_with_a_template_or_an_embedding_in_it_is_not_kept(
    template: bytes, writing: Callable[[bytes], object], place: str, report: Report
) -> None:
    hidden = writing(template)
    fields = msgspec.to_builtins(report)
    for received in (fields | {place: hidden}, fields | {place: {"deeper": hidden}}, fields | {str(hidden): 1}):
        assert kept(json.dumps(received).encode()) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.text(" abcXYZ019+/=-_"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abcdefghij_", max_size=4), inner),
)


@given(st.dictionaries(st.text("abcdefghij_", min_size=1, max_size=22), JSON, max_size=12) | JSON)
def test_whatever_is_kept_has_fewer_letters_and_numbers_than_a_template(received: object) -> None:
    if payload := kept(json.dumps(received).encode()):
        fields = json.loads(payload)
        assert fields == received
        values = list(fields.values())
        assert len(values) <= 9
        assert not any(isinstance(value, dict | list) for value in values)
        assert sum(len(value) for value in values if isinstance(value, str)) < len(base64.b64encode(bytes(64))) - 2
