"""A program's process: when it is ready, how it ends, what is reported."""

import asyncio
from pathlib import Path

import pytest

from infra.local.process import Process, ProgramDied
from infra.local.programs import Program


def _shell(tmp_path: Path, script: str) -> Process:
    return Process(Program(name="shell", command=("sh", "-c", script)), tmp_path / "shell.log")


async def test_line_that_starts_with_ready_shows_that_it_is(tmp_path: Path) -> None:
    process = _shell(tmp_path, "echo starting; sleep 0.2; echo ready, serving; sleep 60")
    await process.start()
    await process.until_ready()
    assert process.is_running
    await process.stop()
    assert not process.is_running


async def test_an_earlier_start_does_not_make_the_next_one_ready(tmp_path: Path) -> None:
    (tmp_path / "shell.log").write_text("ready since yesterday\n")
    process = _shell(tmp_path, "exit 0")
    await process.start()
    with pytest.raises(ProgramDied, match="exit code 0"):
        await process.until_ready()


async def test_death_is_reported_with_the_last_twenty_lines(tmp_path: Path) -> None:
    process = _shell(tmp_path, "seq 101 130; exit 3")
    await process.start()
    with pytest.raises(ProgramDied) as died:
        await process.until_ready()
    first, *lines = str(died.value).splitlines()
    assert first == f"shell died (exit code 3); the end of {tmp_path}/shell.log:"
    assert lines == [str(number) for number in range(111, 131)]


async def test_part_that_never_gets_ready_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.local.process._START_S", 0.2)
    process = _shell(tmp_path, "sleep 60")
    await process.start()
    with pytest.raises(ProgramDied, match="not ready after"):
        await process.until_ready()
    await process.stop()


async def test_part_that_ignores_the_request_to_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.local.process._STOP_S", 0.2)
    process = _shell(tmp_path, "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    await process.start()
    await process.until_ready()
    await asyncio.wait_for(process.stop(), 5)
    assert not process.is_running
