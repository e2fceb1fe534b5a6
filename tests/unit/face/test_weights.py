import hashlib
import pickle
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import cast

import numpy as np
import pytest
import torch
from facenet_pytorch import InceptionResnetV1
from PIL import Image

from models.errors import ConfigError
from models.face.embedding import FaceNetEmbedder
from models.face.image import Face
from models.face.weights import FACENET_VGGFACE2, WeightsFile, fetch, load_facenet

BODY = np.random.default_rng(1).bytes(300_000)


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
    def file(self) -> WeightsFile:
        url = f"http://127.0.0.1:{self.server_port}/weights.pt"
        return WeightsFile(name="weights.pt", url=url, size=len(BODY), sha256=hashlib.sha256(BODY).hexdigest())


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
    with pytest.raises(ConfigError, match="it was deleted"):
        fetch(release.file, tmp_path)
    release.body = BODY
    assert fetch(release.file, tmp_path).read_bytes() == BODY


def test_file_that_changed_on_disk_is_refused(release: Release, tmp_path: Path) -> None:
    fetch(release.file, tmp_path).write_bytes(bytes(len(BODY)))
    with pytest.raises(ConfigError, match="delete it"):
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
    with pytest.raises(ConfigError, match=r"or bring http://.* to .*weights\.pt"):
        fetch(file, tmp_path)


def test_folder_that_cannot_be_written_is_said(release: Release, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Make room or allow writing"):
        fetch(release.file, tmp_path / "file")


def test_full_disk_is_said_before_anything_is_fetched(release: Release, tmp_path: Path) -> None:
    vast = WeightsFile(name="vast.pt", url=release.file.url, size=2**60, sha256="")
    with pytest.raises(ConfigError, match="make room"):
        fetch(vast, tmp_path)
    assert release.asked == []


def test_released_file_is_named_whole() -> None:
    assert FACENET_VGGFACE2.url.endswith("/v2.2.9/" + FACENET_VGGFACE2.name)
    assert re.fullmatch(r"[0-9a-f]{64}", FACENET_VGGFACE2.sha256)


def test_weights_with_a_classifier_load_and_embed(
    tmp_path: Path, astronaut: Image.Image, astronauts_face: Face
) -> None:
    torch.manual_seed(1)
    state = InceptionResnetV1(classify=True, num_classes=8631).state_dict()
    assert "logits.weight" in state
    torch.save(state, tmp_path / "weights.pt")
    facenet = FaceNetEmbedder.from_file(tmp_path / "weights.pt")
    assert facenet.embed(astronaut, astronauts_face).shape == (512,)


@pytest.mark.parametrize("kind", ["lacking", "foreign", "list", "text", "empty", "missing"])
def test_file_without_the_networks_weights_is_a_configuration_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "weights.pt"
    match kind:
        case "lacking":
            torch.save({"last_linear.weight": torch.zeros(512, 1792)}, path)
        case "foreign":
            torch.save({"a": torch.zeros(1)}, path)
        case "list":
            torch.save([1, 2], path)
        case "text":
            path.write_text("<html>not found</html>")
        case "empty":
            path.touch()
    with pytest.raises(ConfigError, match="Delete it and fetch it again"):
        load_facenet(path)


class _Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("trapped"),)


def test_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.pt").write_bytes(pickle.dumps(_Trap(), protocol=2))
    with pytest.raises(ConfigError):
        load_facenet(tmp_path / "weights.pt")
    assert not (tmp_path / "trapped").exists()
