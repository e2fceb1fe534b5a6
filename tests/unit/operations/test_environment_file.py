"""How commands find a local stack: by its environment file, while it runs."""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.environment_file import FILE_NAME, LOCAL_FOLDER, how_to_find, published, whole_environment
from models.errors import ConfigError
from models.settings import Settings

STACK = Settings(
    mqtt="127.0.0.1:21001", keys="unix:/dev/shm/keys of it", sites=Path("sites.toml"), health="127.0.0.1:1"
)
FILE = LOCAL_FOLDER / FILE_NAME


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def stack() -> Iterator[Settings]:
    with published(LOCAL_FOLDER) as publish:
        publish(STACK)
        yield STACK


@pytest.mark.usefixtures("stack")
def test_a_command_finds_the_stack_of_its_folder(folder: Path) -> None:
    found = Settings.from_environ(whole_environment({"FAIRROLL_SECRETS": "mine", "PATH": "/bin"}))
    assert (found.mqtt, found.keys, found.secrets) == (STACK.mqtt, STACK.keys, Path("mine"))
    assert found.sites == folder / "sites.toml"
    assert found.health == ""


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    "other", [("FAIRROLL_KAFKA", "kafka.example:9092"), ("FAIRROLL_KEYS", "unix:/run/x"), ("FAIRROLL_NAMESPACE", "b")]
)
def test_where_another_address_is_set_nothing_of_the_stack_is_used(other: tuple[str, str]) -> None:
    assert whole_environment(dict([other])) == dict([other])


@pytest.mark.usefixtures("stack")
def test_where_the_same_address_is_set_the_rest_of_the_stack_is_used() -> None:
    environ = whole_environment({"FAIRROLL_MQTT": STACK.mqtt})
    assert environ["FAIRROLL_KEYS"] == STACK.keys


def test_what_a_stack_leaves_at_its_end_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with published(LOCAL_FOLDER) as publish:
        publish(STACK)
    assert whole_environment({}) == {}
    assert capsys.readouterr().err == ""


def test_a_file_that_a_killed_stack_left_is_named_and_not_used(capsys: pytest.CaptureFixture[str]) -> None:
    LOCAL_FOLDER.mkdir()
    FILE.write_text("FAIRROLL_MQTT=127.0.0.1:21001\n")
    assert whole_environment({}) == {}
    assert capsys.readouterr().err == (
        "fairroll: .local/fairroll.env is left from a stack that was killed, and is not used\n"
    )
    with published(LOCAL_FOLDER) as publish:
        publish(STACK)
        assert whole_environment({})["FAIRROLL_MQTT"] == STACK.mqtt


@pytest.mark.usefixtures("stack")
def test_a_file_that_others_could_have_written_is_not_used(capsys: pytest.CaptureFixture[str]) -> None:
    FILE.chmod(0o622)
    assert whole_environment({}) == {}
    assert "may be another user's" in capsys.readouterr().err


@pytest.mark.usefixtures("stack")
def test_only_its_owner_reads_it_and_a_shell_can() -> None:
    assert stat.S_IMODE(FILE.stat().st_mode) == 0o600
    shell = f"set -a; . {FILE.absolute()}; set +a; printenv FAIRROLL_KEYS"
    environ = {"PATH": os.environ["PATH"]}
    shown = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True, env=environ)
    assert shown.stdout == f"{STACK.keys}\n"


@pytest.mark.usefixtures("stack")
def test_two_stacks_do_not_share_a_folder() -> None:
    with pytest.raises(ConfigError, match=r"a stack runs in .*local already"), published(LOCAL_FOLDER):
        pass
    assert whole_environment({})["FAIRROLL_MQTT"] == STACK.mqtt


def test_what_cannot_be_reached_is_named_with_what_to_do() -> None:
    assert how_to_find(Settings(), "keys").startswith("FAIRROLL_KEYS is not set: export it, or type this in the folder")
    assert how_to_find(STACK, "keys") == "FAIRROLL_KEYS names it"
