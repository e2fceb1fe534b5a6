"""The set-up shows one line a step, and the end of the log where a step fails."""

import shutil
import subprocess
from pathlib import Path

import pytest

STEP = Path(__file__).parents[2] / "infra" / "local" / "setup-step"


@pytest.fixture
def step(tmp_path: Path) -> Path:
    place = tmp_path / "with space" / "infra" / "local" / "setup-step"
    place.parent.mkdir(parents=True)
    shutil.copy(STEP, place)
    return place


def run(step: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(step), *arguments], capture_output=True, text=True, check=False)


def log_of(step: Path) -> str:
    return (step.parents[2] / ".local" / "setup.log").read_text()


def test_step_that_prints_much_is_one_line(step: Path) -> None:
    done = run(step, "Python packages", "sh", "-c", "seq 500; seq 500 >&2")
    assert done.returncode == 0
    assert done.stdout.startswith("Python packages ... done, ")
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
    assert log_of(step).count("\n500\n") == 2


def test_failed_step_shows_the_end_of_its_own_output_and_keeps_the_exit_code(step: Path) -> None:
    assert run(step, "first", "echo", "of the step before").returncode == 0
    failed = run(step, "second", "sh", "-c", "seq 500; echo 'no space left' >&2; exit 7")
    assert failed.returncode == 7
    assert failed.stdout == "second ... FAILED (exit code 7)\n"
    shown = failed.stderr.splitlines()
    assert shown[-2] == "no space left"
    assert shown[-1].startswith("setup: second failed; all that it printed is in /")
    assert len(shown) == 31
    assert "of the step before" in log_of(step)


def test_failed_step_does_not_show_what_another_printed(step: Path) -> None:
    run(step, "first", "echo", "of the step before")
    assert "of the step before" not in run(step, "second", "false").stderr


def test_arguments_reach_the_command_as_they_are(step: Path) -> None:
    assert run(step, "a step", "test", "a  b'c", "=", "a  b'c").returncode == 0


def test_make_runs_every_installer_as_a_step() -> None:
    makefile = (STEP.parents[2] / "Makefile").read_text()
    installers = [
        line for line in makefile.splitlines() if "pip install" in line or "mvn " in line or "-m venv" in line
    ]
    assert len(installers) == 4
    assert all("$(STEP)" in line and line.startswith("\t@") for line in installers)
