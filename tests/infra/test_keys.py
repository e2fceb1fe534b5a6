"""Keys are created once, and only their owner can read them."""

from pathlib import Path

import pytest

from infra.setup.keys import make_keys, step_keys
from models.errors import ConfigError
from models.face.protection import FARTHEST_EPOCH, epoch_key
from models.keys.key_files import SiteKey, parse_key, parse_site_key


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_keys_are_private_and_of_32_bytes(tmp_path: Path) -> None:
    secrets = tmp_path / "deep" / "secrets"
    keys = make_keys(secrets, ["gate", "park"])
    assert [key.name for key in keys] == ["pipeline.key", "site-gate.key", "site-park.key"]
    assert _mode(secrets) == 0o700
    assert {_mode(key) for key in keys} == {0o600}
    pipeline, *sites = (key.read_text() for key in keys)
    made = [parse_key(pipeline, ""), *(parse_site_key(text, "").key for text in sites)]
    assert {len(key) for key in made} == {32}
    assert len(set(made)) == 3
    assert [text.split()[0] for text in sites] == ["0", "0"]


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


def test_a_site_s_key_is_stepped_to_the_epoch_of_its_site_and_stepping_again_changes_nothing(tmp_path: Path) -> None:
    [gate] = [key for key in make_keys(tmp_path / "secrets", ["gate"]) if "gate" in key.name]
    first = parse_site_key(gate.read_text(), "").key
    assert step_keys(gate.parent, {"gate": 3}) == [f"stepped {gate} from epoch 0 to 3"]
    assert parse_site_key(gate.read_text(), "") == SiteKey(3, epoch_key(first, 3))
    assert _mode(gate) == 0o600
    assert step_keys(gate.parent, {"gate": 3}) == []
    assert make_keys(gate.parent, ["gate"]) == []


@pytest.mark.parametrize("epoch", [2, FARTHEST_EPOCH + 1])
def test_a_key_that_cannot_be_that_of_its_site_stays_and_is_reported(tmp_path: Path, epoch: int) -> None:
    gate = tmp_path / "site-gate.key"
    gate.write_text(str(SiteKey(3, bytes(32))))
    [received] = step_keys(tmp_path, {"gate": epoch})
    assert received.endswith(f"is of epoch 3, its site is in {epoch}: no face is captured until there is a new key")
    assert gate.read_text() == str(SiteKey(3, bytes(32)))
