"""An audit misses no template however and wherever a program wrote it, and takes nothing else for one."""

import base64
import json
import string
import urllib.parse
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from infra.audit.detection import redacted, see, see_levels
from infra.audit.encoded import SIZES
from models.contract.codec import encode
from models.contract.dead_letters import DeadLetter
from models.contract.topics import Topics
from models.keys.seals import Sealed

TOPICS = Topics()
SEEDS = st.integers(0, 2**32)
ALPHANUMERIC = string.ascii_letters + string.digits


def template(seed: int) -> bytes:
    """Bits as they are, each by chance, of every length in turn."""
    return Random(seed).randbytes(SIZES[seed % len(SIZES)])


def kinds(data: bytes) -> list[str]:
    return [sight.what for sight in see(data) if sight.what != "word"]


def wrapped_at(width: int, end: str = "\n") -> Callable[[bytes], str]:
    def wrap(held: bytes) -> str:
        text = base64.b64encode(held).decode()
        return end.join(text[at : at + width] for at in range(0, len(text), width))

    return wrap


def b64(held: bytes) -> str:
    return base64.b64encode(held).decode()


def b64url(held: bytes) -> str:
    return base64.urlsafe_b64encode(held).decode()


WRITTEN: dict[str, Callable[[bytes], str]] = {
    "base64": b64,
    "base64, unpadded": lambda held: b64(held).rstrip("="),
    "base64 for URLs": b64url,
    "base64 for URLs, unpadded": lambda held: b64url(held).rstrip("="),
    "base64 in an URL": lambda held: urllib.parse.quote(b64(held), safe=""),
    "base64 with slashes escaped": lambda held: b64(held).replace("/", "\\/"),
    "base64 with everything escaped": lambda held: b64(held).replace("+", "\\u002b").replace("=", "\\u003d"),
    "base64 in lines of 76": wrapped_at(76),
    "base64 in lines of 64": wrapped_at(64, "\r\n"),
    "base64 in lines, escaped": wrapped_at(76, "\\n"),
    "hex": bytes.hex,
    "HEX": lambda held: held.hex().upper(),
    "0x": lambda held: f"0x{held.hex()}",
    "bits": lambda held: "".join(f"{byte:08b}" for byte in held),
    "list of bytes": lambda held: str(list(held)),
    "list of bits": lambda held: ",".join(bit for byte in held for bit in f"{byte:08b}"),
    "Python": repr,
    "Python, in JSON": lambda held: json.dumps({"text": repr(held)}),
    "Python, in JSON in JSON": lambda held: json.dumps(json.dumps({"text": repr(held)})),
    "bytearray": lambda held: repr(bytearray(held)),
    "base64 of base64": lambda held: b64(b64(held).encode()),
    "base64 of JSON": lambda held: b64(json.dumps({"template": b64(held)}).encode()),
    "base64 of base64 of base64": lambda held: b64(b64(b64(held).encode()).encode()),
}
IN_LINES = {"base64 in lines of 76", "base64 in lines of 64", "base64 in lines, escaped"}
PLAIN = ("base64", "base64, unpadded", "base64 for URLs", "base64 for URLs, unpadded", "hex", "HEX")
AROUND: dict[str, str] = {
    "alone": "{}",
    "JSON": '{{"template":"{}","id":"R"}}',
    "JSON in JSON": '{{"event":"{{\\"template\\":\\"{}\\"}}"}}',
    "a log line": "2026-11-24T10:52:06Z template={} was refused",
    "after a line break in JSON": '{{"exception":"Traceback:\\n{}\\n  at"}}',
    "in brackets": "({})",
    "a cell": '17,"{}",park',
    "a second element": '["park","{}"]',
}
WITHIN: dict[str, str] = {
    "a topic's site": "fairroll/v1/{}/gate/report",
    "a topic's dispenser": "fairroll/v1/park/{}/report",
    "a topic's version": "fairroll/{}/park/gate/report",
    "a topic's end": "fairroll/v1/park/{}",
    "a topic between names in capitals": "fairroll/v1/PARK/{}/report",
    "a dead letter": '{{"source":"fairroll/v1/{}/gate/report","reason":"unknown topic","size":3,"sha256":"0"}}',
    "a key": "park/visitor/{}",
    "a path": "/srv/fairroll/faces/{}.bin",
    "a file name": "face-{}.bin",
    "a name with underscores": "last_template_{}",
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("way", WRITTEN)
@settings(max_examples=20)
@given(seed=SEEDS)
def test_a_template_is_seen_however_it_is_written(way: str, around: str, seed: int) -> None:
    written = AROUND[around].format(WRITTEN[way](template(seed)))
    assert set(kinds(written.encode())) == {"template"}, written


@pytest.mark.parametrize("within", WITHIN)
@pytest.mark.parametrize("way", PLAIN)
@settings(max_examples=30)
@given(seed=SEEDS)
def test_a_template_is_seen_as_a_part_of_a_name(way: str, within: str, seed: int) -> None:
    written = WITHIN[within].format(WRITTEN[way](template(seed)))
    assert kinds(written.encode()) == ["template"], written
    assert WRITTEN[way](template(seed)) not in redacted(written)


@settings(max_examples=30)
@given(seed=SEEDS)
def test_a_level_is_looked_at_by_itself_whatever_stands_beside_it(seed: int) -> None:
    name = f"fairroll/v1/SiTe9X/{b64url(template(seed))}/GaTe"
    assert [sight.what for sight in (*see(name.encode()), *see_levels(name.encode()))] == ["template"]
    assert b64url(template(seed))[:80] not in redacted(name)


def test_the_level_of_a_topic_that_was_missed() -> None:
    word = base64.b64encode(bytes(range(101, 165))).decode()
    letter = DeadLetter.of(f"fairroll/v1/{word}/gate/request", b"{}", "bad name in the topic", TOPICS)
    assert len(word) == 88
    assert kinds(encode(letter)) == ["template"]


FIELDS = st.dictionaries(
    st.from_regex(r"^[a-z_]{1,20}\Z"),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none(),
    max_size=9,
)


@settings(max_examples=300)
@given(FIELDS, st.integers(0, 64))
@example({"kind": "battery", "number": 1234567, "ago_s": 1234.567, "percent": 7}, 0)
@example({}, 53)
def test_a_report_that_is_kept_is_no_template_whatever_its_length(fields: dict[str, object], fill: int) -> None:
    payload = encode({**fields, "zz": "x" * fill} if fill else fields)
    letter = DeadLetter.of("fairroll/v1/park/gate/report", payload, "a reason", TOPICS)
    assert kinds(encode(letter)) == []


@given(SEEDS, st.integers(28, 1024))
@example(0, 64)
def test_a_sealed_template_is_nothing_else_whatever_its_length(seed: int, size: int) -> None:
    sealed = encode(Sealed(chain="0123456789abcdef", minute=29_000_000, box=Random(seed).randbytes(size)))
    assert kinds(sealed) == ["sealed"]
    assert kinds(json.dumps({"sealed": sealed.decode()}).encode()) == ["sealed"]


@settings(max_examples=300)
@given(SEEDS, st.integers(0, 3000).filter(lambda size: size not in SIZES), st.sampled_from([b64, b64url, bytes.hex]))
def test_other_random_bytes_are_nothing(seed: int, size: int, write: Callable[[bytes], str]) -> None:
    written = write(Random(seed).randbytes(size))
    assert kinds(written.encode()) == []
    assert kinds(f'{{"more":"{written}"}}'.encode()) == []


@settings(max_examples=300)
@given(SEEDS)
def test_paths_and_names_are_nothing_whatever_their_length(seed: int) -> None:
    random = Random(seed)
    words = ("Kafka", "consumer", "GroupCoordinator", "v2", "usr", "lib", "site-packages", "HTTPServer", "x86_64", "A")
    path = "/".join(random.choices(words, k=random.randrange(8, 30)))
    assert kinds(path.encode()) == []
    for length in (86, 88):
        assert kinds(path[:length].encode()) == []


@settings(max_examples=300)
@given(SEEDS)
def test_hashes_that_are_named_and_numbers_that_are_measured_are_nothing(seed: int) -> None:
    random = Random(seed)
    digest = random.randbytes(64)
    for named in (f"sha512-{b64(digest)}", f"sha512:{digest.hex()}", f'"signature":"{b64url(digest)}"'):
        assert kinds(named.encode()) == []
    times = ", ".join(f"{random.expovariate(2):.3f}" for _ in range(200))
    assert kinds(times.encode()) == []
    counts = ", ".join(str(random.randrange(100)) for _ in range(64))
    assert kinds(counts.encode()) == []


@given(st.text(ALPHANUMERIC + "+/_-", min_size=87, max_size=400))
@settings(max_examples=500)
def test_whatever_is_seen_is_redacted(name: str) -> None:
    hidden = redacted(name)
    assert kinds(hidden.encode()) == []
