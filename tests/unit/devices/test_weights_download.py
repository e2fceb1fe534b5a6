import hashlib
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import cast

import numpy as np
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from devices.weights import commands, download
from devices.weights.download import fetch, import_file
from models.errors import ConfigError
from models.face.networks.weights import CATALOGUE, Weights, verified

BODY = np.random.default_rng(1).bytes(300_000)
TEST_WEIGHTS = Weights(
    id="test",
    name="weights.pt",
    size=len(BODY),
    sha256=hashlib.sha256(BODY).hexdigest(),
    licence="none",
    training="none",
    published="none",
)


class Release(ThreadingHTTPServer):
    """A real server of one file that knows ranges, and can cut an answer, lie or be gone."""

    body = BODY
    cut_after: int | None = None
    ranges = True
    status = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[str] = []

    @property
    def file(self) -> Weights:
        return replace(TEST_WEIGHTS, url=f"http://127.0.0.1:{self.server_port}/weights.pt")


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        release = cast("Release", self.server)
        asked = self.headers["Range"]
        release.asked.append(asked)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if release.ranges else 0  # type: ignore[index] # always asked
        self.send_response(release.status or (206 if release.ranges else 200))
        body = release.body[start:]
        self.send_header("Content-Length", str(len(body)))
        if release.ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(release.body) - 1}/{len(release.body)}")
        self.end_headers()
        self.wfile.write(body[: release.cut_after])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def release() -> Iterator[Release]:
    with Release() as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def test_file_is_fetched_once_and_nothing_else_is_left(release: Release, tmp_path: Path) -> None:
    path = fetch(release.file, tmp_path / "new")
    assert path.read_bytes() == BODY
    assert fetch(release.file, tmp_path / "new") == path
    assert [each.name for each in path.parent.iterdir()] == ["weights.pt"]
    assert release.asked == ["bytes=0-"]


def test_cut_download_goes_on_where_it_stopped(release: Release, tmp_path: Path) -> None:
    release.cut_after = 100_000
    with pytest.raises(ConfigError, match="Run the command again"):
        fetch(release.file, tmp_path)
    assert not (tmp_path / "weights.pt").exists()
    have = (tmp_path / "weights.pt.part").stat().st_size
    release.cut_after = None
    assert fetch(release.file, tmp_path).read_bytes() == BODY
    assert 0 < have <= 100_000
    assert release.asked == ["bytes=0-", f"bytes={have}-"]


def test_server_without_ranges_starts_anew(release: Release, tmp_path: Path) -> None:
    (tmp_path / "weights.pt.part").write_bytes(b"x" * 5_000)
    release.ranges = False
    assert fetch(release.file, tmp_path).read_bytes() == BODY


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (BODY[:-1] + bytes([BODY[-1] ^ 1]), "sha256"),
        (BODY + b"more", "expected 300,000 bytes"),
        (BODY[:-1], "299,999 of 300,000"),
    ],
    ids=["tampered", "too long", "too short"],
)
def test_file_that_is_not_the_released_one_is_refused(
    release: Release, tmp_path: Path, body: bytes, words: str
) -> None:
    release.body = body
    with pytest.raises(ConfigError, match=words):
        fetch(release.file, tmp_path)
    assert not (tmp_path / "weights.pt").exists()


def test_tampered_download_is_removed_so_that_the_next_one_succeeds(release: Release, tmp_path: Path) -> None:
    release.body = bytes(len(BODY))
    with pytest.raises(ConfigError, match="It was deleted"):
        fetch(release.file, tmp_path)
    release.body = BODY
    assert fetch(release.file, tmp_path).read_bytes() == BODY


def test_file_that_changed_on_disk_is_refused(release: Release, tmp_path: Path) -> None:
    fetch(release.file, tmp_path).write_bytes(bytes(len(BODY)))
    with pytest.raises(ConfigError, match="Delete it and run"):
        fetch(release.file, tmp_path)


@pytest.mark.parametrize("status", [404, 503])
def test_answer_that_is_an_error_is_said(release: Release, tmp_path: Path, status: int) -> None:
    release.status = status
    with pytest.raises(ConfigError, match=str(status)):
        fetch(release.file, tmp_path)


def test_no_network_says_where_to_bring_the_file(release: Release, tmp_path: Path) -> None:
    file = release.file
    release.shutdown()
    release.server_close()
    with pytest.raises(ConfigError, match=r"or bring http://.*weights\.pt and run"):
        fetch(file, tmp_path)


def test_folder_that_cannot_be_written_is_said(release: Release, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Make room or allow writing"):
        fetch(release.file, tmp_path / "file")


def test_full_disk_is_said_before_anything_is_fetched(release: Release, tmp_path: Path) -> None:
    vast = replace(release.file, size=2**60)
    with pytest.raises(ConfigError, match="make room"):
        fetch(vast, tmp_path)
    assert release.asked == []


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue with one file of the tests."""
    for module in (download, commands):
        monkeypatch.setattr(module, "CATALOGUE", (TEST_WEIGHTS,))


@pytest.mark.usefixtures("catalogue")
def test_imported_file_is_recognised_by_its_contents(tmp_path: Path) -> None:
    (tmp_path / "stick.bin").write_bytes(BODY)
    assert import_file(tmp_path / "stick.bin", tmp_path / "new") == TEST_WEIGHTS
    assert verified(TEST_WEIGHTS, tmp_path / "new").read_bytes() == BODY
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["weights.pt"]


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize("body", [BODY[:-1], bytes(len(BODY)), b""], ids=["short", "tampered", "empty"])
def test_wrong_file_is_refused_by_name_and_hash(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "weights.pt").write_bytes(body)
    with pytest.raises(ConfigError, match=f"{len(body):,} bytes, sha256 {hashlib.sha256(body).hexdigest()}; test has"):
        import_file(tmp_path / "weights.pt", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_missing_weights_name_the_command_that_brings_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dispenser weights fetch test"):
        verified(TEST_WEIGHTS, tmp_path)


@pytest.mark.usefixtures("catalogue")
def test_commands_list_and_verify_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRROLL_DATA", str(tmp_path))
    (tmp_path / "stick.bin").write_bytes(BODY)
    assert "test  not here" in CliRunner().invoke(commands.weights, ["list"]).output
    assert CliRunner().invoke(commands.weights, ["import", str(tmp_path / "stick.bin")]).exit_code == 0
    assert CliRunner().invoke(commands.weights, ["verify"]).output == "test: as released\n"
    (tmp_path / "weights" / "weights.pt").write_bytes(bytes(len(BODY)))
    with pytest.raises(ConfigError, match="not as released: test"):
        CliRunner().invoke(commands.weights, ["verify"], catch_exceptions=False)


def test_catalogue_names_each_file_once_and_whole() -> None:
    assert len({each.id for each in CATALOGUE}) == len({each.sha256 for each in CATALOGUE}) == len(CATALOGUE)
    for each in CATALOGUE:
        assert re.fullmatch(r"[0-9a-f]{64}", each.sha256), each.id
        assert each.package or each.url.endswith("/" + each.name), each.id
