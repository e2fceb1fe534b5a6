"""The key file of the key holder: in memory only, readable by its owner only, written atomically."""

from pathlib import Path

import pytest

from models.contract.messages import Revision
from models.errors import ConfigError
from models.keys.seal_chain import SiteChain
from models.keys.seals import SealKey
from stream_processors.keyholder.key_file import Kept, KeyFile

KEY = SealKey.first(29_925_441, bytes(range(40)))
KEPT = Kept(
    ahead_ms=1_795_506_769_192,
    sites={"park": SiteChain(mode="face", window_s=540, revision=Revision(1, 2), key=KEY, since=3, destroyed=4)},
)
LATER = Kept(ahead_ms=KEPT.ahead_ms, sites={})


@pytest.fixture
def path(memory: Path) -> Path:
    return memory / "deep" / "chains"


def test_what_was_written_is_read(path: Path) -> None:
    file = KeyFile(path)
    assert file.read() is None
    for kept in (KEPT, LATER, KEPT):
        file.write(kept)
        assert KeyFile(path).read() == kept


def test_it_is_nobody_else_s(path: Path) -> None:
    KeyFile(path).write(KEPT)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["chains"]


def test_what_it_held_before_is_overwritten(path: Path) -> None:
    """Seen through a descriptor that was open: the name is gone, the bytes are too."""
    file = KeyFile(path)
    file.write(KEPT)
    with path.open("rb") as before:
        file.write(LATER)
        assert set(before.read()) == {0}
    file.write(KEPT)
    with path.open("rb") as before:
        file.destroy()
        assert set(before.read()) == {0}
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("text", [b"", b"{", b'{"ahead_ms":1}', b"\xff" * 300, b"[]"])
def test_a_damaged_file_is_said_and_chains_begin_anew(
    path: Path, text: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    file = KeyFile(path)
    file.write(KEPT)
    path.write_bytes(text)
    assert file.read() is None
    assert "chains start again" in "".join(capsys.readouterr())
    assert not path.exists()


def test_a_torn_file_does_not_show_its_keys(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = KeyFile(path)
    file.write(KEPT)
    torn = path.read_bytes().replace(b'"minute":', b'"minute":"a')
    path.write_bytes(torn)
    assert file.read() is None
    assert "CAkKCwwN" not in "".join(capsys.readouterr())  # of the key, in base64


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_file_that_was_open_to_others_is_not_trusted(path: Path, mode: int) -> None:
    file = KeyFile(path)
    file.write(KEPT)
    path.chmod(mode)
    assert file.read() is None
    assert not path.exists()


def test_a_link_is_not_followed(path: Path, memory: Path) -> None:
    file, elsewhere = KeyFile(path), memory / "elsewhere"
    KeyFile(elsewhere).write(KEPT)
    path.symlink_to(elsewhere)
    assert file.read() is None
    assert KeyFile(elsewhere).read() == KEPT


def test_what_a_killed_holder_was_writing_is_destroyed(path: Path) -> None:
    file = KeyFile(path)
    file.write(LATER)
    path.with_name("chains.new").write_bytes(b'{"half')
    assert file.read() == LATER
    file.write(KEPT)
    assert file.read() == KEPT


def test_a_write_that_fails_leaves_no_old_key(path: Path) -> None:
    file = KeyFile(path)
    file.write(KEPT)
    path.with_name("chains.new").mkdir()  # where it wants to write
    with path.open("rb") as before:
        with pytest.raises(OSError, match=r"chains\.new"):
            file.write(LATER)
        assert set(before.read()) == {0}
    assert not path.exists()


def test_a_disk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"FAIRROLL_KEYS_FILE='.*chains' is on .*, which may outlive a reboot"):
        KeyFile(tmp_path / "chains")


def test_a_folder_that_cannot_be_made_is_reported() -> None:
    with pytest.raises(ConfigError, match=r"FAIRROLL_KEYS_FILE='/proc/"):
        KeyFile(Path("/proc/keys/chains"))
