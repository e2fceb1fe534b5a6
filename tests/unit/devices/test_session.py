"""The dispenser around its machine, without a broker."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from devices.hardware.motor import Motor
from devices.journal.port import InMemoryJournal
from devices.machine.actions import MotorStopped, RequestClosed
from devices.machine.persistent_state import Memory
from devices.session.session import Dispenser, Identity, new_id
from models.contract.messages import Battery, ButtonPressed, LocalRation, Report, Stock

PATIENCE_S = 0.02


class DeadMotor:
    """A motor whose driver fails."""

    async def dispense(self, cm: int) -> MotorStopped:
        raise RuntimeError(f"no device for {cm} cm")


class JournalReadingMotor:
    """A motor that records the journal before it moves: what a power cut would leave."""

    def __init__(self, journal: InMemoryJournal) -> None:
        self.seen: list[Memory] = []
        self._journal = journal

    async def dispense(self, cm: int) -> MotorStopped:
        self.seen.append(self._journal.load(0))
        return MotorStopped(cm)


@asynccontextmanager
async def alone(motor: Motor, journal: InMemoryJournal) -> AsyncIterator[Dispenser]:
    """A running dispenser without a broker."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    dispenser = Dispenser(Identity(site="park", device="gate"), motor, address, journal=journal, patience_s=PATIENCE_S)
    running = asyncio.create_task(dispenser.run())
    await asyncio.sleep(0)
    try:
        yield dispenser
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def ask(dispenser: Dispenser) -> RequestClosed:
    closed = await asyncio.wait_for(dispenser.ask(ButtonPressed(id=new_id())), 10)
    assert closed
    return closed


async def test_a_motor_that_cannot_be_spoken_to_counts_as_a_jam_and_the_next_person_is_served() -> None:
    journal = InMemoryJournal()
    async with alone(DeadMotor(), journal) as dispenser:
        assert [(await ask(dispenser)).cm for _ in range(2)] == [0, 0]
    received = [pending.report for pending in journal.load(0).reports]
    assert [(type(report), report.fault) for report in received if isinstance(report, LocalRation)] == [
        (LocalRation, "jam")
    ] * 2


async def test_the_journal_has_the_request_before_the_motor_moves() -> None:
    journal = InMemoryJournal()
    motor = JournalReadingMotor(journal)
    async with alone(motor, journal) as dispenser:
        closed = await ask(dispenser)
    [seen] = motor.seen
    assert seen.run
    assert seen.run.request == closed.request
    assert [ration.cm for ration in seen.rations] == [60]


async def test_a_restarted_dispenser_continues_from_its_journal() -> None:
    journal = InMemoryJournal()
    async with alone(JournalReadingMotor(journal), journal) as dispenser:
        await ask(dispenser)
    async with alone(JournalReadingMotor(journal), journal) as dispenser:
        await ask(dispenser)
        assert dispenser.state.memory.last_number == 2
        assert len(dispenser.state.memory.rations) == 2


@pytest.mark.parametrize("reading", [Battery(number=1, percent=255), Stock(number=1, cm=-1), Stock(number=1, cm=10**9)])
async def test_a_reading_that_the_contract_does_not_allow_is_dropped_and_logged(
    reading: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = InMemoryJournal()
    async with alone(DeadMotor(), journal) as dispenser:
        dispenser.measure(reading)
        dispenser.measure(Battery(number=1, percent=76))
    assert [pending.report for pending in journal.load(0).reports] == [Battery(number=1, percent=76)]
    assert "reading dropped" in capsys.readouterr().out
