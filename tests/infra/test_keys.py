"""Keys are made once and are nobody else's."""

from pathlib import Path

import pytest

from infra.keys import make_keys
from models.errors import ConfigError


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_keys_are_private_and_of_32_bytes(tmp_path: Path) -> None:
    secrets = tmp_path / "deep" / "secrets"
    keys = make_keys(secrets, ["gate", "park"])
    assert [key.name for key in keys] == ["pipeline.key", "site-gate.key", "site-park.key"]
    assert _mode(secrets) == 0o700
    assert {_mode(key) for key in keys} == {0o600}
    assert {len(bytes.fromhex(key.read_text())) for key in keys} == {32}
    assert len({key.read_text() for key in keys}) == 3


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    [pipeline] = make_keys(tmp_path / "secrets", [])
    before = pipeline.read_text()
    assert [key.name for key in make_keys(tmp_path / "secrets", ["gate"])] == ["site-gate.key"]
    assert pipeline.read_text() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    [pipeline] = make_keys(tmp_path / "secrets", [])
    pipeline.chmod(mode)
    with pytest.raises(ConfigError, match=r"pipeline\.key is open to others: chmod go="):
        make_keys(tmp_path / "secrets", [])


def test_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    make_keys(tmp_path / "secrets", [])
    (tmp_path / "secrets").chmod(0o755)
    with pytest.raises(ConfigError, match="secrets is open to others"):
        make_keys(tmp_path / "secrets", [])


def test_torn_key_is_refused(tmp_path: Path) -> None:
    [pipeline] = make_keys(tmp_path / "secrets", [])
    pipeline.write_text("c0ffee")
    with pytest.raises(ConfigError, match="not a key of 32 bytes"):
        make_keys(tmp_path / "secrets", [])
