"""What an audit sees in bytes, what it takes for ordinary, and how it judges."""

import base64
import bz2
import gzip
import hashlib
import json
import lzma
import uuid
from array import array
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
import zstandard
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from devices.enrolment.enrolment import IdentityFiles, request_certificate
from infra.audit.audit import other_pipelines
from infra.audit.detection import LONGEST, see
from infra.audit.encoded import SIZES
from infra.audit.files import read_broker_files, read_files
from infra.audit.judgement import Known, Suspects, Tally, Where, readable
from infra.audit.key_custody import key_texts, read_secrets
from infra.audit.places import Unread
from infra.audit.report import CLEAN, UNREAD, VIOLATED, Place, Report
from infra.ca.authority_folder import AuthorityFolder
from models.contract.codec import encode
from models.contract.messages import ButtonPressed, FaceSeen, Mode
from models.contract.topics import Topics, kafka_topics
from models.keys.seal_chain import SiteFacts, SitesReply
from models.keys.seals import ENTROPY_BYTES, NONCE_BYTES, Keyring, Sealed, SealKey, binding
from models.ledger.events import Requested
from models.ledger.rules.policy import Policy
from models.settings import Settings

RAW = hashlib.sha512(b"no person").digest()
TEMPLATE = base64.b64encode(RAW)
NUMBERS = [(number % 17 - 8) / 91 for number in range(128)]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
PSEUDONYM = "mnopqrstuvwxyz23"
NOW = 1_800_000_000.0
WINDOW_S = 540


def kinds(data: bytes) -> list[str]:
    return [sight.what for sight in see(data)]


@pytest.mark.parametrize(
    "written",
    [
        encode(FaceSeen(id="R" * 16, model="synthetic/1", template=RAW)),
        b"template=" + TEMPLATE,
        b"here " + TEMPLATE.rstrip(b"=") + b" twice",
        base64.urlsafe_b64encode(RAW),
        RAW.hex().encode(),
        RAW.hex().upper().encode(),
        repr(FaceSeen(id="R" * 16, model="synthetic/1", template=RAW)).encode(),
        base64.b64encode(encode(FaceSeen(id="R" * 16, model="synthetic/1", template=RAW))),
        base64.b64encode(base64.b64encode(b'{"template":"' + TEMPLATE + b'"}')),
    ],
    ids=["json", "log", "bare", "url", "hex", "HEX", "python", "base64 in base64", "three times"],
)
def test_a_template_is_seen_however_it_is_written(written: bytes) -> None:
    assert kinds(written) == ["template"]
    assert kinds(b'{"more":"' + written + b'"}') == ["template"]


@pytest.mark.parametrize(
    "written",
    [
        json.dumps(NUMBERS).encode(),
        json.dumps({"embedding": NUMBERS}, indent=2).encode(),
        "\n".join(map(str, NUMBERS)).encode(),
        ";".join(f"{number:.3e}" for number in NUMBERS).encode(),
        base64.b64encode(array("f", NUMBERS).tobytes()),
        base64.b64encode(array("d", NUMBERS).tobytes()),
    ],
    ids=["json", "indented", "lines", "exponents", "float32", "float64"],
)
def test_an_embedding_is_seen_however_it_is_written(written: bytes) -> None:
    assert kinds(written) == ["embedding"]


@pytest.mark.parametrize(
    "picture",
    [
        b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(100),
        b"\xff\xd8\xff\xe1\x12\x34Exif\x00" + bytes(100),
        b"\xff\xd8\xff\xdb\x00\x43" + bytes(100),
        PNG,
        b"GIF89a" + bytes(100),
        b"BM\x36\x10\x0e\x00" + bytes(4) + b"\x36\x00\x00\x00\x28\x00\x00\x00" + bytes(100),
        b"RIFF\x24\x10\x00\x00WEBPVP8 " + bytes(100),
        b"\x00\x00\x00\x18ftypheic" + bytes(100),
        b"\x93NUMPY\x01\x00v\x00{'descr': '|u1'" + bytes(100),
    ],
    ids=["jfif", "exif", "jpeg", "png", "gif", "bmp", "webp", "heif", "numpy"],
)
def test_a_picture_is_seen_raw_and_in_base64(picture: bytes) -> None:
    assert kinds(b"before" + picture) == ["picture"]
    assert kinds(b'{"frame":"' + base64.b64encode(picture) + b'"}') == ["picture"]


@pytest.mark.parametrize("written", [b"visitor/park/" + PSEUDONYM.encode(), b'{"visitor": "%s"}' % PSEUDONYM.encode()])
def test_a_visitor_is_seen_by_the_words_around(written: bytes) -> None:
    assert "visitor" in kinds(written)


def test_keys_of_a_seal_chain_are_seen() -> None:
    assert kinds(encode(SealKey("0" * 16, 1, bytes(32)))) == ["key"]


@pytest.mark.parametrize(
    "ordinary",
    [
        b"",
        encode(Requested(site="park", device="gate", request=ButtonPressed(id=uuid.UUID(int=7).hex), patience_s=3)),
        encode(Policy()),
        hashlib.sha256(b"x").hexdigest().encode(),
        hashlib.sha256(b"x").digest(),
        base64.b64encode(hashlib.sha256(b"x").digest()),
        json.dumps({"numbers": list(range(500))}).encode(),
        json.dumps({"points": [round(number / 7, 2) for number in range(99)]}).encode(),
        b"/usr/lib/python3/dist-packages/" + b"some/folder/" * 12 + b"file.py",
        b"org/apache/kafka/common/security/oauthbearer/internals/secured/httpaccesstokenretrieverx",
        b"2026-11-24T12:00:00.000 WARN 1.5 2.5 3.5\n" * 200,
        bytes(range(256)) * 40,
        bytes(10_000),
    ],
)
def test_ordinary_data_is_nothing(ordinary: bytes) -> None:
    assert kinds(ordinary) == []


@pytest.mark.parametrize("length", range(16, 65))
def test_a_request_id_is_nothing_whatever_its_length(length: int) -> None:
    random = Random(length)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
    for _ in range(200):
        name = "".join(random.choices(alphabet, k=length))
        assert set(kinds(f'{{"id":"{name}"}}'.encode())) <= {"word"}


def test_random_bytes_are_nothing_raw_or_in_base64() -> None:
    random = Random(1)
    for _ in range(2_000):
        noise = random.randbytes(random.randrange(1, 700))
        if len(noise) not in SIZES:
            assert kinds(noise) == kinds(base64.b64encode(noise)) == []


def test_a_sealed_template_is_seen_as_one_and_as_nothing_else() -> None:
    assert kinds(encode(event(sealed_at(0)))) == ["sealed"]


def test_what_begins_before_a_window_or_behind_it_is_not_reported() -> None:
    data = b" " * 10 + TEMPLATE + b" " * 10
    assert [sight.at for sight in see(data, 0, 11)] == [10]
    assert list(see(data, 0, 10)) == list(see(data, 11)) == list(see(data, 40)) == []


# -- judging ------------------------------------------------------------------------------------------


def sealed_at(ago_s: int) -> Sealed:
    """What was sealed so long ago."""
    keys, minute = Keyring(), int(NOW - ago_s) // 60
    keys.put("park", SealKey.first(minute, bytes(range(ENTROPY_BYTES))))
    sealed = keys.seal("park", RAW, binding("park", "gate", "R" * 16), minute, bytes(NONCE_BYTES))
    assert sealed
    return sealed


def event(sealed: Sealed) -> Requested:
    face = FaceSeen(id="R" * 16, model="synthetic/1", template=None)
    return Requested(site="park", device="gate", request=face, sealed=sealed)


def known(oldest_ago_s: int | None, mode: Mode = "face") -> Known:
    """A key holder that has the key of the minute so long ago."""
    facts = SiteFacts(
        mode=mode,
        window_s=WINDOW_S,
        chain=sealed_at(0).chain if oldest_ago_s is not None else None,
        oldest=int(NOW - oldest_ago_s) // 60 if oldest_ago_s is not None else None,
        since=0,
        destroyed=0,
    )
    return Known(now=NOW, facts=SitesReply(at=0, sites={"park": facts}))


@pytest.mark.parametrize(
    ("ago_s", "oldest_ago_s", "mode", "how"),
    [
        (60, 600, "face", "live"),
        (WINDOW_S + 60, 1_200, "face", "live"),
        (WINDOW_S + 120, 1_200, "face", "overdue"),
        (WINDOW_S + 120, 540, "face", "noise"),
        (60, None, "held", "noise"),
        (60, 600, "held", "held"),
    ],
)
def test_a_sealed_template_is_judged_by_its_key_and_its_age(
    ago_s: int, oldest_ago_s: int | None, mode: Mode, how: str
) -> None:
    assert readable(sealed_at(ago_s), known(oldest_ago_s, mode)) == how


def test_what_opens_after_its_window_is_overdue_whatever_the_key_holder_shows() -> None:
    assert readable(sealed_at(WINDOW_S + 120), known(None), is_open=True) == "overdue"
    assert readable(sealed_at(60), known(None), is_open=True) == "live"


def tallied(data: bytes, known: Known, opens: Callable[[Sealed], bool] = lambda _: False) -> Place:
    tally = Tally("topic", known, Suspects())
    tally.scan(Where("0/7"), data, allowed={"sealed"}, opens=opens)
    return tally.place()


def test_a_place_shows_what_is_live_and_what_is_noise() -> None:
    data = encode(event(sealed_at(60))) + encode(event(sealed_at(6_000)))
    place = tallied(data, known(600))
    assert (place.verdict, place.live, place.noise) == ("clean", 1, 1)
    assert place.oldest_noise_s
    assert place.oldest_noise_s >= 6_000
    assert tallied(data, known(600), lambda _: True).verdict == "violated"


def test_the_oldest_template_is_one_that_can_be_read_and_not_the_place_where_it_stands() -> None:
    """The age of a record or a file is not that of the templates in it."""
    tally = Tally("data", known(600), Suspects())
    tally.age(NOW - 6_000)
    tally.scan(Where("journal"), encode(event(sealed_at(60))) + encode(event(sealed_at(6_000))), allowed={"sealed"})
    report = Report(at=NOW, took_s=1, places=[tally.place()], findings=[])
    assert tally.place().oldest_s == 6_000
    assert 60 <= report.oldest_s < 120
    assert (
        Report(at=NOW, took_s=1, places=[tallied(encode(event(sealed_at(6_000))), known(600))], findings=[]).oldest_s
        == 0
    )


def test_a_place_with_sealed_templates_is_unread_while_the_key_holder_is_silent() -> None:
    place = tallied(encode(event(sealed_at(60))), Known(now=NOW, facts=None))
    assert place.verdict == "unread"
    assert "key holder" in place.why


def test_a_word_is_a_visitor_only_if_there_is_one() -> None:
    suspects = Suspects()
    tally = Tally("logs", known(600), suspects)
    tally.scan(Where("ingress.log", 1_000), f"served {PSEUDONYM}, and not abcdefghijklmnop".encode())
    assert tally.place().verdict == "clean"
    suspects.accuse(PSEUDONYM)
    [finding] = tally.examples
    assert (finding.kind, finding.where) == ("visitor", "ingress.log:1007")
    assert finding.sha256 == hashlib.sha256(PSEUDONYM.encode()).hexdigest()[:12]


def test_a_place_with_words_is_unread_while_nobody_can_tell_who_is_a_visitor() -> None:
    suspects = Suspects()
    with_words, without = Tally("logs", known(600), suspects), Tally("data", known(600), suspects)
    with_words.scan(Where("ingress.log", 0), PSEUDONYM.encode())
    without.scan(Where("journal", 0), b"nothing")
    suspects.doubt("no decisions")
    assert [tally.place().verdict for tally in (with_words, without)] == ["unread", "clean"]


def test_a_name_that_holds_a_visitor_is_shown_without() -> None:
    suspects = Suspects()
    tally = Tally("data", known(600), suspects)
    tally.scan_name(Where(f"name of data/{PSEUDONYM}.txt"), PSEUDONYM.encode())
    suspects.accuse(PSEUDONYM)
    [finding] = tally.examples
    assert finding.where == f"name of data/sha256:{finding.sha256}.txt"


def test_a_secret_outside_of_its_folder_is_found() -> None:
    tally = Tally("data", Known(now=NOW, facts=None, secrets=(b"5ec2e7" * 10,)), Suspects())
    tally.scan(Where("backup", 0), b"key: " + b"5ec2e7" * 10)
    [finding] = tally.examples
    assert (finding.kind, finding.where) == ("key", "backup:5")


async def test_private_keys_of_mqtt_and_controls_are_secrets(tmp_path: Path) -> None:
    authority = AuthorityFolder.create(tmp_path / "ca", "fairroll", datetime.now(UTC))
    for name in ("ingress-1", "park.gate"):
        request_certificate(IdentityFiles(tmp_path / "mqtt", name))
    settings = Settings(
        mqtt_key=str(tmp_path / "mqtt" / "{name}.key"),
        control_key=str(authority.control_key_file),
        secrets=tmp_path / "secrets",
    )
    settings.secrets.mkdir(mode=0o700)
    keys = [tmp_path / "mqtt/ingress-1.key", tmp_path / "mqtt/park.gate.key", authority.control_key_file]
    for key in keys:
        tally = Tally("data", Known(now=NOW, facts=None, secrets=key_texts(settings)), Suspects())
        tally.scan(Where("backup", 0), key.read_bytes())
        assert [finding.kind for finding in tally.examples] == ["key"]
        key.chmod(0o644)
    tally = Tally("secrets", Known(now=NOW, facts=None), Suspects())
    await read_secrets(settings, tally)
    assert sorted(finding.where for finding in tally.examples) == sorted(map(str, keys))


def test_all_findings_are_counted_and_a_few_are_listed() -> None:
    tally = Tally("logs", known(600), Suspects())
    tally.scan(Where("log", 0), (TEMPLATE + b"\n") * 100)
    assert tally.place().findings == 100
    assert len(tally.examples) == 5


@pytest.mark.parametrize(
    ("places", "code"),
    [
        ([Place(name="a", verdict="clean"), Place(name="b", verdict="skipped")], CLEAN),
        ([Place(name="a", verdict="clean"), Place(name="b", verdict="unread", why="closed")], UNREAD),
        ([Place(name="a", verdict="violated", findings=1), Place(name="b", verdict="unread", why="closed")], VIOLATED),
    ],
)
def test_the_exit_code_shows_the_worst(places: list[Place], code: int) -> None:
    assert Report(at=0, took_s=0, places=places, findings=[]).exit_code == code


# -- files --------------------------------------------------------------------------------------------


async def read(root: Path) -> list[str]:
    tally = Tally("files", known(600), Suspects())
    await read_files(root, tally)
    return [finding.where for finding in tally.examples]


@pytest.mark.parametrize("at", [0, 1, (1 << 20) - 40, 1 << 20, (1 << 20) + LONGEST - 40, 3 << 20])
async def test_a_template_is_found_once_wherever_a_file_is_cut(tmp_path: Path, at: int) -> None:
    (tmp_path / "dump").write_bytes(b"\n" * at + TEMPLATE + b"\n" * (1 << 20))
    assert await read(tmp_path / "dump") == [f"dump:{at}"]


async def test_one_long_picture_in_base64_is_one_finding(tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(base64.b64encode(PNG + Random(1).randbytes(3 << 20)))
    assert await read(tmp_path / "dump") == ["dump:0"]


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress])
async def test_a_compressed_file_is_opened(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    (tmp_path / "archive").write_bytes(compress(b"." * (2 << 20) + TEMPLATE))
    assert await read(tmp_path / "archive") == [f"archive:{2 << 20}"]


async def test_a_file_that_cannot_be_opened_is_said_to_be_unread(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04" + bytes(9))
    with pytest.raises(Unread, match="unpack it"):
        await read(tmp_path / "a.zip")
    (tmp_path / "a.gz").write_bytes(gzip.compress(TEMPLATE)[:20])
    with pytest.raises(Unread, match=r"a\.gz"):
        await read(tmp_path / "a.gz")


@pytest.mark.parametrize(("codec", "why"), [(0, ""), (1, "compressed")])
async def test_a_compressed_segment_of_a_broker_is_unread_and_never_clean(tmp_path: Path, codec: int, why: str) -> None:
    (tmp_path / "fairroll.events-0").mkdir()
    batches = b"".join(segment(kind) for kind in (0, codec))
    (tmp_path / "fairroll.events-0" / "00000000000000000000.log").write_bytes(batches + bytes(100))
    tally = Tally("files", known(600), Suspects())
    await read_broker_files(tmp_path, tally)
    assert why in tally.place().why
    assert tally.place().verdict == ("unread" if why else "clean")


def segment(codec: int) -> bytes:
    """A batch of one record, as Kafka writes it."""
    batch = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 20)
    batch.append(0, 0, b"park", b"{}" * 100, [])
    return bytes(batch.build())


async def test_links_lead_nowhere_and_a_missing_folder_is_unread(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(TEMPLATE)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "outside")
    assert await read(tmp_path / "data") == []
    with pytest.raises(Unread, match="no folder"):
        await read(tmp_path / "nothing")


def test_topics_of_a_pipeline_of_another_namespace_are_its_own_audit_s() -> None:
    there = [topic.name for name in ("fairroll", "staging") for topic in kafka_topics(Topics(name), 4, 540)]
    assert other_pipelines([*there, "orders", "shop.events"], Topics()) == [Topics("staging")]
    assert other_pipelines(there, Topics("staging")) == [Topics()]
