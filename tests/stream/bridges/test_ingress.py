import base64
import hashlib
import json

import pytest
from msgspec import structs

from models.contract.codec import MAX_PAYLOAD_BYTES, decode_dead_letter, decode_state, encode
from models.contract.messages import (
    ButtonPressed,
    Control,
    DeviceState,
    FaceSeen,
    ForgetRequested,
    LocalRation,
    Mode,
    Report,
    Request,
    Stock,
)
from models.contract.topics import Topics
from models.keys.seals import ENTROPY_BYTES, Keyring, Sealed, SealKey
from models.ledger.codec import decode_event
from models.ledger.events import Reported, Requested, UnreadableReport
from models.ledger.rules.policy import Sites, SiteSpec
from stream_processors.decider.ledger import opened
from stream_processors.ingress.service import Publication, Record, on_message
from stream_processors.ingress.template_sealing import NoKey, Seals

TOPICS = Topics()

SITES = Sites(sites={"park": SiteSpec(devices=("gate", "door"), mode="face")})
ID = "request-0000000001"
TEMPLATE = bytes(range(64))
WRITTEN = base64.b64encode(TEMPLATE)
FACE = FaceSeen(id=ID, model="synthetic/1", template=TEMPLATE)
AT_THE_GATE = "fairroll/v1/park/gate"


class Keys:
    """The real keyring, in one minute that never ends."""

    def __init__(self, *, has_key: bool = True) -> None:
        self.ring = Keyring()
        if has_key:
            self.ring.put("park", SealKey.first(7, bytes(range(ENTROPY_BYTES))))

    def seal(self, site: str, template: bytes, binding: bytes, nonce: bytes) -> Sealed | None:
        return self.ring.seal(site, template, binding, 7, nonce)

    def has(self, site: str) -> bool:
        return self.ring.since(site) is not None

    async def fetch(self, site: str) -> None:
        """The holder has begun a chain meanwhile."""
        self.ring.put(site, SealKey.first(7, bytes(range(ENTROPY_BYTES))))

    def destroy(self, site: str) -> None:
        self.ring.put(site, None)


def control(mode: Mode = "face") -> Control:
    return Control(site="park", mode=mode, policy="0", epoch=0, ration_cm=60, ration_budget_cm=600, window_s=540)


def seals(keys: Keys | None = None) -> Seals:
    received = Seals(keys or Keys())
    received.follow("park", control())
    return received


def without(template: bytes) -> bytes:
    return json.dumps({"kind": "face", "id": ID, "model": "synthetic/1", "template": template.decode()}).encode()


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        pytest.param(f"{AT_THE_GATE}/request", b"{not JSON " + WRITTEN, "not JSON", id="not JSON"),
        pytest.param("fairroll/v2/park/gate/request", encode(FACE), "unknown version", id="wrong version"),
        pytest.param(f"{AT_THE_GATE}/report", b'{"kind":"stock","number":1,"cm":NaN}', "not JSON", id="NaN"),
        pytest.param(f"{AT_THE_GATE}/request", without(WRITTEN[:-4]), "$.template", id="short template"),
        pytest.param(f"{AT_THE_GATE}/request", without(WRITTEN[:-2] + b"AAAA"), "$.template", id="long template"),
        pytest.param(f"{AT_THE_GATE}/request", without(b"\0"), "$.template", id="no base64"),
        pytest.param(f"{AT_THE_GATE}/request", encode(FACE)[:-4].replace(b"}", b"") + b"=}", "not JSON", id="torn"),
        pytest.param(f"{AT_THE_GATE}/request", WRITTEN * 11_400, f"at most {MAX_PAYLOAD_BYTES}", id="1 MB"),
        pytest.param("fairroll/v1/moon/gate/request", encode(FACE), "unknown site or device", id="unknown site"),
        pytest.param("fairroll/v1/park/moon/request", encode(FACE), "unknown site or device", id="unknown device"),
        pytest.param("fairroll/v1/park/gate\n/request", encode(FACE), "bad name", id="name with a new line"),
        pytest.param(f"{AT_THE_GATE}/command", encode(FACE), "a device does not command", id="command"),
        pytest.param(f"{AT_THE_GATE}/orders", encode(FACE), "unknown topic", id="unknown channel"),
        pytest.param(f"{AT_THE_GATE}/request", encode(Stock(number=1, cm=9)), "$.kind", id="unknown kind"),
        pytest.param(f"{AT_THE_GATE}/report", encode(FACE), "$.kind", id="a request as a report"),
        pytest.param(f"{AT_THE_GATE}/state", b'{"online":"yes"}', "$.online", id="wrong state"),
        pytest.param(f"{AT_THE_GATE}/request", b"", "not JSON", id="nothing"),
        pytest.param(f"{AT_THE_GATE}/request", encode(FaceSeen(id=ID, model="a", template=None)), "null", id="null"),
    ],
)
def test_what_cannot_be_read_becomes_a_dead_letter_without_its_payload(topic: str, payload: bytes, reason: str) -> None:
    [record] = on_message(Publication(topic, payload), TOPICS, SITES, seals())
    letter = decode_dead_letter(record.value)
    assert (record.topic, record.key, letter.source) == (TOPICS.dead_letters, topic, topic)
    assert reason in letter.reason
    assert (letter.size, letter.sha256) == (len(payload), hashlib.sha256(payload).hexdigest())
    assert WRITTEN[:16] not in record.value
    assert len(record.value) < 1000


@pytest.mark.parametrize(
    ("payload", "number", "reason"),
    [
        (b'{"kind":"battery","number":7,"percent":255}', 7, "$.percent"),
        (b'{"kind":"dispensed","number":7,"request":"request-0000000001","cm":59.7}', 7, "$.cm"),
        (b'{"kind":"dispensed","number":7,"request":"request-0000000001","cm":-1}', 7, "$.cm"),
        (b'{"kind":"tomorrow","number":2,"light":3}', 2, "tomorrow"),
        (b'{"number":3}', 3, "kind"),
    ],
)
def test_a_report_that_breaks_the_contract_is_a_dead_letter_and_an_event_that_answers_it(
    payload: bytes, number: int, reason: str
) -> None:
    letter, answer = on_message(Publication(f"{AT_THE_GATE}/report", payload), TOPICS, SITES, seals())
    assert letter.topic == TOPICS.dead_letters
    assert (answer.topic, answer.key) == (TOPICS.events, "park")
    event = decode_event(answer.value)
    assert isinstance(event, Reported)
    assert isinstance(event.report, UnreadableReport)
    assert (event.site, event.device, event.report.number) == ("park", "gate", number)
    assert reason in event.report.reason
    assert event.report.reason == decode_dead_letter(letter.value).reason


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (f"{AT_THE_GATE}/report", b"{not JSON"),
        (f"{AT_THE_GATE}/report", b"[7]"),
        (f"{AT_THE_GATE}/report", b'{"kind":"battery","percent":255}'),
        (f"{AT_THE_GATE}/report", b'{"kind":"battery","number":0,"percent":50}'),
        (f"{AT_THE_GATE}/report", b'{"kind":"battery","number":7.5,"percent":50}'),
        (f"{AT_THE_GATE}/report", b'{"kind":"battery","number":9007199254740993,"percent":50}'),
        (f"{AT_THE_GATE}/request", b'{"kind":"battery","number":7,"percent":255}'),
        ("fairroll/v1/park/moon/report", b'{"kind":"battery","number":7,"percent":255}'),
        ("fairroll/v1/moon/gate/report", b'{"kind":"battery","number":7,"percent":255}'),
    ],
)
def test_what_is_no_report_of_a_known_dispenser_or_has_no_number_is_not_answered(topic: str, payload: bytes) -> None:
    [record] = on_message(Publication(topic, payload), TOPICS, SITES, seals())
    assert record.topic == TOPICS.dead_letters


def test_an_endless_topic_is_cut() -> None:
    [record] = on_message(Publication("x" * 60_000, b"{}"), TOPICS, SITES, seals())
    assert record.topic == TOPICS.dead_letters
    assert (len(record.key), len(decode_dead_letter(record.value).source)) == (200, 200)


@pytest.mark.parametrize(
    "request_", [FACE, ForgetRequested(id=ID, model="synthetic/1", template=TEMPLATE), ButtonPressed(id=ID)]
)
@pytest.mark.parametrize("patience_s", [None, 3])
def test_a_request_becomes_an_event_of_its_site_with_what_is_left_of_the_patience(
    request_: Request, patience_s: int | None
) -> None:
    keys = Keys()
    [record] = on_message(
        Publication(f"{AT_THE_GATE}/request", encode(request_), patience_s), TOPICS, SITES, seals(keys)
    )
    assert (record.topic, record.key) == (TOPICS.events, "park")
    event = decode_event(record.value)
    assert isinstance(event, Requested)
    assert opened(event, keys.ring) == Requested(
        site="park", device="gate", request=request_, patience_s=patience_s, sealed=event.sealed
    )
    assert WRITTEN[:16] not in record.value


@pytest.mark.parametrize("found", [control("held"), control("button"), None], ids=["held", "button", "removed"])
def test_a_template_of_a_site_that_looks_at_no_faces_goes_no_further(found: Control | None) -> None:
    keys = Keys()
    received = seals(keys)
    received.follow("park", found)
    [record] = on_message(Publication(f"{AT_THE_GATE}/request", encode(FACE), 3), TOPICS, SITES, received)
    event = decode_event(record.value)
    assert event == Requested(site="park", device="gate", request=structs.replace(FACE, template=None), patience_s=3)
    assert keys.ring.since("park") is None


def test_before_a_site_s_control_came_its_templates_go_no_further() -> None:
    [record] = on_message(Publication(f"{AT_THE_GATE}/request", encode(FACE), 3), TOPICS, SITES, Seals(Keys()))
    event = decode_event(record.value)
    assert isinstance(event, Requested)
    assert event.sealed is None
    assert WRITTEN[:16] not in record.value


async def test_the_first_face_of_a_site_has_a_key_fetched_and_no_other_site_has() -> None:
    keys = Keys(has_key=False)
    received = seals(keys)
    await received.fetch_for("lake")
    assert not keys.has("lake")
    await received.fetch_for("park")
    event = decode_event(
        on_message(Publication(f"{AT_THE_GATE}/request", encode(FACE), 3), TOPICS, SITES, received)[0].value
    )
    assert isinstance(event, Requested)
    assert event.sealed is not None


def test_without_a_key_a_face_goes_on_without_its_template_and_a_wish_to_be_forgotten_waits() -> None:
    received = seals(Keys(has_key=False))
    event = decode_event(
        on_message(Publication(f"{AT_THE_GATE}/request", encode(FACE), 3), TOPICS, SITES, received)[0].value
    )
    assert isinstance(event, Requested)
    assert event.sealed is None
    forget = ForgetRequested(id=ID, model="synthetic/1", template=TEMPLATE)
    with pytest.raises(NoKey, match="park"):
        on_message(Publication(f"{AT_THE_GATE}/request", encode(forget)), TOPICS, SITES, received)


@pytest.mark.parametrize("report", [LocalRation(number=3, request=ID, cm=60, ago_ms=4_500), Stock(number=4, cm=9)])
def test_a_report_becomes_an_event_of_its_site(report: Report) -> None:
    [record] = on_message(Publication("fairroll/v1/park/door/report", encode(report)), TOPICS, SITES, seals())
    assert (record.topic, record.key) == (TOPICS.events, "park")
    assert decode_event(record.value) == Reported(site="park", device="door", report=report)


def test_a_state_is_kept_for_its_device() -> None:
    state = DeviceState(online=False, firmware="2.4.0")
    [record] = on_message(Publication(f"{AT_THE_GATE}/state", encode(state)), TOPICS, SITES, seals())
    assert (record.topic, record.key, decode_state(record.value)) == (TOPICS.states, "park/gate", state)


@pytest.mark.parametrize("dispenser", ["park/gate", "moon/base"])
def test_a_cleared_state_is_removed_whether_or_not_the_operator_knows_the_dispenser(dispenser: str) -> None:
    removed = on_message(Publication(f"fairroll/v1/{dispenser}/state", b""), TOPICS, SITES, seals(Keys()))
    assert removed == (Record(TOPICS.states, dispenser, b""),)


@pytest.mark.parametrize("channel", ["request", "report", "command"])
def test_an_empty_message_of_another_kind_is_a_dead_letter(channel: str) -> None:
    [record] = on_message(Publication(f"{AT_THE_GATE}/{channel}", b""), TOPICS, SITES, seals(Keys()))
    assert record.topic == TOPICS.dead_letters


def test_a_field_that_is_not_of_the_contract_goes_no_further() -> None:
    payload = json.dumps({"kind": "button", "id": ID, "name": "Ann", "clock": "1970-01-01"}).encode()
    [record] = on_message(Publication(f"{AT_THE_GATE}/request", payload), TOPICS, SITES, seals())
    assert record.topic == TOPICS.events
    assert b"Ann" not in record.value
    assert b"1970" not in record.value


@pytest.mark.parametrize(("held_s", "patience_s"), [(0.0, 3), (0.9, 3), (1.0, 2), (2.9, 1)])
def test_what_a_request_was_held_is_taken_from_its_patience(held_s: float, patience_s: int) -> None:
    [record] = on_message(Publication(f"{AT_THE_GATE}/request", encode(FACE), 3, held_s), TOPICS, SITES, seals())
    event = decode_event(record.value)
    assert isinstance(event, Requested)
    assert event.patience_s == patience_s


@pytest.mark.parametrize("held_s", [3.0, 3.1, 900.0])
def test_a_request_held_beyond_its_expiry_is_dropped_and_counted(held_s: float) -> None:
    [record] = on_message(Publication(f"{AT_THE_GATE}/request", encode(FACE), 3, held_s), TOPICS, SITES, seals())
    assert record.topic == TOPICS.dead_letters
    assert decode_dead_letter(record.value).reason == f"held beyond its expiry: for {held_s:.1f} s of 3 s"
    assert WRITTEN[:16] not in record.value


@pytest.mark.parametrize(
    ("channel", "payload", "expiry_s"),
    [
        ("request", encode(ForgetRequested(id=ID, model="synthetic/1", template=TEMPLATE)), None),
        ("report", encode(Stock(number=4, cm=9)), 1),
    ],
)
def test_what_nobody_waits_for_is_kept_however_long_it_was_held(
    channel: str, payload: bytes, expiry_s: int | None
) -> None:
    [record] = on_message(Publication(f"{AT_THE_GATE}/{channel}", payload, expiry_s, 900.0), TOPICS, SITES, seals())
    assert record.topic == TOPICS.events


def test_a_simulated_site_takes_made_up_faces_only() -> None:
    sites = Sites(sites={"park": SiteSpec(devices=("gate",), mode="face", simulated=True)})
    real = structs.replace(FACE, model="dlib-resnet/1")
    taken = [
        on_message(Publication(f"{AT_THE_GATE}/request", encode(face)), TOPICS, sites, seals())[0].topic
        for face in (FACE, real)
    ]
    assert taken == [TOPICS.events, TOPICS.dead_letters]
