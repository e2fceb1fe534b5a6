"""The chain on a device: forwards only, whole at any moment, and nothing of the past left in the file."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from devices.session.site_key import SiteKeyChain, open_site_key_chain, read_site_key, step_site_key
from devices.simulation.synthetic_faces import SYNTHETIC, SyntheticFace
from models.errors import ConfigError
from models.face.protection import FARTHEST_EPOCH, Protector, epoch_key
from models.keys.key_files import SiteKey

FIRST = bytes(range(32))
FACE = SyntheticFace(np.random.default_rng(1)).capture()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "site-park.key"
    file.write_text(f"{FIRST.hex()}\n")
    return file


def of(epoch: int) -> SiteKey:
    return SiteKey(epoch, epoch_key(FIRST, epoch))


def template(epoch: int) -> bytes:
    return Protector(of(epoch).key, SYNTHETIC, epoch).protect(FACE)


def made(chain: SiteKeyChain) -> tuple[int, bytes]:
    return chain.protector.epoch, chain.protector.protect(FACE)


def test_templates_use_the_key_of_the_followed_epoch_at_any_distance(file: Path) -> None:
    chain = open_site_key_chain(file, SYNTHETIC)
    assert made(chain) == (0, template(0))
    for epoch in (1, 2, 500):
        assert chain.follow(epoch) is None
        assert made(chain) == (epoch, template(epoch))
        assert read_site_key(file) == of(epoch)


def test_a_restarted_device_continues_in_the_epoch_of_its_key_file(file: Path) -> None:
    open_site_key_chain(file, SYNTHETIC).follow(7)
    assert made(open_site_key_chain(file, SYNTHETIC)) == (7, template(7))


def test_the_old_file_is_overwritten_and_the_new_one_is_as_private(file: Path) -> None:
    file.chmod(0o600)
    kept = file.with_name("kept")
    os.link(file, kept)
    step_site_key(file, 1)
    assert set(kept.read_bytes()) == {0}
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in file.parent.iterdir()) == ["kept", "site-park.key"]


def test_a_file_half_written_at_a_power_cut_is_written_again(file: Path) -> None:
    file.with_name("site-park.key.new").write_text("1 c0ff")
    assert step_site_key(file, 2) == of(2) == read_site_key(file)


def test_a_key_never_steps_back_to_an_earlier_epoch(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(str(of(5)))
    chain = open_site_key_chain(file, SYNTHETIC)
    assert chain.follow(4) == "key_ahead"
    assert read_site_key(file) == of(5)
    received = capsys.readouterr().out
    assert "camera blocked" in received
    assert "key_ahead" in received
    assert chain.follow(5) is None


@pytest.mark.parametrize("epoch", [FARTHEST_EPOCH + 1, 2**53])
def test_an_absurd_epoch_is_refused_and_costs_no_step(file: Path, epoch: int) -> None:
    chain = open_site_key_chain(file, SYNTHETIC)
    assert chain.follow(epoch) == "key_too_far"
    assert made(chain) == (0, template(0))
    assert chain.follow(1) is None


def test_a_key_that_cannot_be_replaced_makes_no_templates_of_a_later_epoch(file: Path) -> None:
    chain = open_site_key_chain(file, SYNTHETIC)
    file.rename(file.with_name("away"))
    assert chain.follow(1) == "key_stuck"
    file.with_name("away").rename(file)
    assert chain.follow(1) is None
    assert made(chain) == (1, template(1))


def test_a_file_that_holds_no_key_any_more_makes_no_templates_and_ends_nothing(file: Path) -> None:
    chain = open_site_key_chain(file, SYNTHETIC)
    file.write_bytes(b"\xff\xfe\x00 torn")
    assert chain.follow(1) == "key_stuck"
    with pytest.raises(ConfigError, match=r"site-park\.key is not"):
        read_site_key(file)


def test_processes_that_share_a_key_file_step_it_once_and_later_ones_find_the_later_key(file: Path) -> None:
    one, other, late = (open_site_key_chain(file, SYNTHETIC) for _ in range(3))
    assert one.follow(3) is None
    assert other.follow(3) is None
    assert made(one) == made(other) == (3, template(3))
    assert late.follow(2) == "key_ahead"
    assert late.follow(3) is None


def test_concurrent_steps_return_keys_of_the_chain(file: Path) -> None:
    epochs = [1 + number % 20 for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        stepped = list(pool.map(lambda epoch: step_site_key(file, epoch), epochs))
    assert all(key == of(key.epoch) and key.epoch >= epoch for key, epoch in zip(stepped, epochs, strict=True))
    assert read_site_key(file) == of(20)


def test_a_step_killed_at_any_moment_leaves_a_complete_key_of_the_chain(file: Path) -> None:
    stepping = (
        "import sys; from pathlib import Path; from devices.session.site_key import *; file = Path(sys.argv[1]);"
        "print('ready', flush=True); [step_site_key(file, epoch) for epoch in range(100_000)]"
    )
    for wait_s in (0.02, 0.11, 0.23):
        process = subprocess.Popen([sys.executable, "-c", stepping, str(file)], stdout=subprocess.PIPE)
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        time.sleep(wait_s)
        process.kill()
        process.communicate()
        key = read_site_key(file)
        assert key == of(key.epoch)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*site-park\.key"):
        open_site_key_chain(tmp_path / "site-park.key", SYNTHETIC)
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere/site-park\.key"):
        read_site_key(tmp_path / "nowhere" / "site-park.key")
