"""What dies comes back, and the pipeline answers again."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devices.hardware.motor import SimulatedMotor
from devices.session.session import Dispenser, Identity, new_id
from infra.influxql import query
from infra.local.ports import Ports
from infra.local.process import Process
from infra.local.programs import EVERYTHING, Program
from infra.local.stack import LocalStack
from infra.local.supervisor import Change, Died, Returned, supervise
from models.contract.messages import ButtonPressed, Dispense
from models.settings import Settings

_WITHIN_S = 60
_BUTTON_BUDGET_CM = 100_000
"""More than all the tries of these tests."""


@asynccontextmanager
async def _supervised(*processes: Process) -> AsyncIterator[list[Change]]:
    received: list[Change] = []
    task = asyncio.create_task(supervise(processes, received.append))
    try:
        yield received
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for process in processes:
            await process.stop()


async def _until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(_WITHIN_S):
        while not happened():
            await asyncio.sleep(0.05)


async def _started(tmp_path: Path, script: str) -> Process:
    process = Process(Program(name="shell", command=("sh", "-c", script)), tmp_path / "shell.log")
    await process.start()
    return process


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.local.supervisor._FIRST_WAIT_S", 0.02)


@pytest.mark.usefixtures("hurried")
async def test_what_dies_is_started_again_and_both_is_reported(tmp_path: Path) -> None:
    process = await _started(tmp_path, "echo ready; exec sleep 60")
    await process.until_ready()
    before = process.pid
    async with _supervised(process) as received:
        os.kill(before or 0, signal.SIGKILL)
        await _until(lambda: len(received) == 2)
        assert process.is_running
        assert process.pid != before
    match received:
        case [Died(program="shell", how="SIGKILL") as died, Returned(program="shell") as returned]:
            assert str(died).startswith("shell died (SIGKILL); it is started again in 0.0")
            assert str(returned).startswith("shell is ready again, after ")
        case _:
            pytest.fail(f"{received}")


@pytest.mark.usefixtures("hurried")
async def test_what_dies_again_at_its_start_waits_longer_each_time(tmp_path: Path) -> None:
    process = await _started(tmp_path, "exit 3")
    async with _supervised(process) as received:
        await _until(lambda: len(received) == 5)
    waits = [change.back_in_s for change in received if isinstance(change, Died) and change.how == "exit code 3"]
    assert len(waits) == 5
    assert all(0.01 * 2**n <= wait <= 0.02 * 2**n for n, wait in enumerate(waits))


async def test_what_worked_for_a_minute_comes_back_as_soon_as_at_its_first_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.local.supervisor._FIRST_WAIT_S", 0.02)
    monkeypatch.setattr("infra.local.supervisor._WORKED_S", 0.1)
    process = await _started(tmp_path, "echo ready; sleep 0.2; exit 1")
    async with _supervised(process) as received:
        await _until(lambda: len(received) >= 8)
    assert all(change.back_in_s <= 0.02 for change in received if isinstance(change, Died))


@pytest.mark.usefixtures("hurried")
async def test_what_was_stopped_on_purpose_stays_down(tmp_path: Path) -> None:
    process = await _started(tmp_path, "echo ready; exec sleep 60")
    await process.until_ready()
    async with _supervised(process) as received:
        await process.kill()
        await asyncio.sleep(0.5)
        assert not process.is_running
    assert received == []


@pytest.mark.usefixtures("hurried")
async def test_what_does_not_get_ready_is_ended_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.local.process._START_S", 0.3)
    once = tmp_path / "once"
    process = await _started(tmp_path, f"test -e {once} && sleep 60; touch {once}; exit 1")
    async with _supervised(process) as received:
        await _until(lambda: len(received) == 2)
        assert [change.how for change in received if isinstance(change, Died)] == [
            "exit code 1",
            "shell was not ready after 0.3 s",
        ]


@pytest.fixture
def sites(tmp_path: Path) -> Path:
    file = tmp_path / "sites.toml"
    file.write_text(
        f'[sites.park]\ndevices = ["gate"]\n[sites.park.policy]\nbutton_budget_cm = {_BUTTON_BUDGET_CM}\n'
        f"dispenser_limit_cm = {_BUTTON_BUDGET_CM}\n"
    )
    return file


async def test_each_part_that_is_killed_comes_back_and_the_pipeline_answers(tmp_path: Path, sites: Path) -> None:
    received: list[Change] = []
    async with LocalStack(tmp_path, ports=Ports.free(), environ={"FAIRROLL_SITES": str(sites)}) as stack:
        gate = Dispenser(Identity(site="park", device="gate"), SimulatedMotor(), stack.settings.mqtt, patience_s=2)
        session = asyncio.create_task(gate.run())
        supervisor = asyncio.create_task(supervise(stack, received.append))
        try:
            for name in EVERYTHING:
                os.kill(stack[name].pid or 0, signal.SIGKILL)
                await _until_returned(name, received)
                await _until_answered(gate)
            await _until_measured(stack.settings)
        finally:
            for task in (session, supervisor):
                task.cancel()
            await asyncio.gather(session, supervisor, return_exceptions=True)
    killed = [change.program for change in received if isinstance(change, Died) and change.how == "SIGKILL"]
    assert killed == list(EVERYTHING)


async def _until_returned(name: str, received: list[Change]) -> None:
    await _until(lambda: any(isinstance(change, Returned) and change.program == name for change in received))


async def _until_answered(gate: Dispenser) -> None:
    """Until a press gets the pipeline's portion; in the meantime the dispenser gives its own ration."""
    async with asyncio.timeout(_WITHIN_S):
        while True:
            closed = await gate.ask(ButtonPressed(id=new_id()))
            if closed and isinstance(closed.answer, Dispense):
                return
            await asyncio.sleep(0.1)


async def _until_measured(settings: Settings) -> None:
    """Until a decision that is made from now on has come to InfluxDB: ticks make some every five seconds."""
    statement = f"SELECT count(templates) AS n FROM sites WHERE time > {time.time_ns()}"
    async with asyncio.timeout(_WITHIN_S):
        while not await query(settings, statement):
            await asyncio.sleep(0.3)
