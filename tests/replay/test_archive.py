"""Archives: what is written is read again, and what is damaged, foreign or newer is refused before its first record."""

import contextlib
from pathlib import Path

import pytest
import zstandard
from msgspec import structs

from models.contract.codec import encode
from models.errors import ConfigError
from models.replay.archive import VERSION, HashChain, UnusableArchive
from models.replay.recording import RecordedEvent
from stream_processors.replay.archive_file import header_of, open_archive, writing
from tests.experiments.replay_proof.recorded import recorded_events, recording
from tests.replay.test_replaying import day
from tests.support.story import SECRET

_ZSTD_END = 4
"""bytes at the end, zstd's own checksum: without them nothing of ours is missing"""


def written(folder: Path) -> tuple[Path, list[RecordedEvent]]:
    path, found = folder / "day.jsonl.zst", recorded_events(day().records)
    with writing(path, header_of(recording(), SECRET)) as archive:
        for one in found:
            archive.put(one)
        archive.close(unreadable=0)
    return path, found


def lines(path: Path) -> list[bytes]:
    return zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().splitlines(keepends=True)


def rewritten(path: Path, kept: list[bytes]) -> Path:
    path.write_bytes(zstandard.ZstdCompressor().compress(b"".join(kept)))
    return path


def complaint(path: Path) -> str:
    with pytest.raises(UnusableArchive) as raised:
        open_archive(path)
    return str(raised.value).removeprefix(f"{path}: ")


def test_what_is_written_is_read_again_any_number_of_times(tmp_path: Path) -> None:
    path, found = written(tmp_path)
    archive = open_archive(path)
    assert [encode(one) for one in archive] == [encode(one) for one in found] == [encode(one) for one in archive]
    assert archive.header.recording == recording()
    assert archive.trailer.events == len(found)


def test_an_archive_is_for_its_owner_alone_and_replaces_nothing(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="exists"):
        written(tmp_path)


def test_a_recording_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> None:
        with writing(tmp_path / "day.jsonl.zst", header_of(recording(), SECRET)) as archive:
            archive.put(recorded_events(day().records)[0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    whole = path.read_bytes()
    for length in range(0, len(whole) - _ZSTD_END, 7):
        path.write_bytes(whole[:length])
        complaint(path)


def test_a_truncated_archive_shows_the_record_that_is_missing(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    kept = lines(path)
    assert complaint(rewritten(path, kept[:6])) == "it ends before record 6: it is truncated"
    assert (
        complaint(rewritten(path, [*kept[:6], kept[6][:40]])) == "record 6 is cut off: the archive is truncated there"
    )


@pytest.mark.parametrize("what", ["changed", "taken out", "moved", "put in"])
def test_a_tampered_archive_shows_the_first_record_that_is_not_as_it_was(tmp_path: Path, what: str) -> None:
    path, _ = written(tmp_path)
    kept = lines(path)
    match what:
        case "changed":
            kept[4] = kept[4].replace(b'"gate"', b'"door"')
        case "taken out":
            del kept[4]
        case "moved":
            kept[4], kept[5] = kept[5], kept[4]
        case _:
            kept.insert(4, kept[2])
    assert complaint(rewritten(path, kept)) == "record 4 is not what was recorded"


def test_a_damaged_byte_is_found_or_changes_nothing(tmp_path: Path) -> None:
    """A match can be encoded in more than one way: a few bits of a zstd frame give the same text."""
    path, _ = written(tmp_path)
    whole, kept, found = path.read_bytes(), lines(path), 0
    for place in range(4, len(whole), 11):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with contextlib.suppress(zstandard.ZstdError):
            if lines(path) == kept:
                continue
        complaint(path)
        found += 1
    assert found > len(whole) / 11 - 5


def test_what_follows_the_trailer_is_found(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    assert "follows the trailer" in complaint(rewritten(path, [*lines(path), b"{}\n"]))


@pytest.mark.parametrize("content", [b"", b"at,site\n", b'{"at":1}\n', zstandard.compress(b'{"at":1}\n')])
def test_what_is_no_archive_is_reported_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "foreign").write_bytes(content)
    assert "fairroll archive" in complaint(tmp_path / "foreign")


def test_an_archive_of_a_newer_version_is_reported_so(tmp_path: Path) -> None:
    header = structs.replace(header_of(recording(), SECRET), archive=VERSION + 1)
    newer = rewritten(tmp_path / "newer", [HashChain().link(encode(header)), b"who knows\n"])
    assert complaint(newer) == "the header has version 2, made by a newer fairroll: this one reads 1"


def test_a_file_that_is_not_there_is_the_operators_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        open_archive(tmp_path / "nowhere")
