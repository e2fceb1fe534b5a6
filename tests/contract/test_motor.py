"""What any motor must do."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from devices.hardware.motor import GuardedMotor, Motor, SimulatedMotor
from devices.machine.actions import MotorStopped


class Roll:
    """A motor without any time: the least that a port asks for."""

    def __init__(self, roll_cm: int) -> None:
        self._roll_cm = roll_cm

    async def dispense(self, cm: int) -> MotorStopped:
        out = min(cm, self._roll_cm)
        self._roll_cm -= out
        return MotorStopped(out, "empty" if out < cm else None)


def _prompt(roll_cm: int) -> Motor:
    return SimulatedMotor(roll_cm=roll_cm, cm_per_s=1e9)


def _jamming(roll_cm: int) -> Motor:
    return SimulatedMotor(roll_cm=roll_cm, cm_per_s=1e9, jam_rate=0.5, seed=4)


def _guarded(roll_cm: int) -> Motor:
    return GuardedMotor(Roll(roll_cm))


each_motor = pytest.mark.parametrize("with_roll", [Roll, _prompt, _jamming, _guarded])
WithRoll = Callable[[int], Motor]


@each_motor
@pytest.mark.parametrize("cm", [1, 60, 999])
async def test_a_motor_dispenses_the_length_or_less_with_a_fault(with_roll: WithRoll, cm: int) -> None:
    motor = with_roll(20_000)
    for _ in range(20):
        ran = await motor.dispense(cm)
        assert 0 <= ran.cm <= cm
        assert (ran.fault is None) == (ran.cm == cm)


@each_motor
async def test_a_roll_dispenses_at_most_its_length_and_then_reports_empty(with_roll: WithRoll) -> None:
    motor = with_roll(300)
    runs = [await motor.dispense(60) for _ in range(40)]
    assert sum(ran.cm for ran in runs) == 300
    assert runs[-1].cm == 0
    assert "empty" in {ran.fault for ran in runs}


@each_motor
async def test_dispensing_the_last_centimetre_is_no_fault(with_roll: WithRoll) -> None:
    motor = with_roll(5)
    for _ in range(5):
        ran = await motor.dispense(1)
        while ran.fault == "jam":
            ran = await motor.dispense(1)
        assert ran == MotorStopped(1)
    while (ran := await motor.dispense(1)).fault == "jam":
        assert ran.cm == 0
    assert ran == MotorStopped(0, "empty")


async def test_the_simulated_motor_jams_alike_with_one_seed() -> None:
    runs = [[await motor.dispense(60) for _ in range(30)] for motor in (_jamming(20_000), _jamming(20_000))]
    assert runs[0] == runs[1]
    assert MotorStopped(30, "jam") in runs[0]
    assert MotorStopped(60) in runs[0]


async def test_the_simulated_motor_takes_its_time() -> None:
    running = asyncio.ensure_future(SimulatedMotor(cm_per_s=1.0).dispense(3600))
    await asyncio.sleep(0)
    assert not running.done()
    running.cancel()


# -- the guard around any driver ----------------------------------------------------------------------


class Driver:
    """Behaves as the test specifies, run after run."""

    def __init__(self, *runs: Callable[[], Any]) -> None:
        self._runs = iter(runs)
        self.called = 0

    async def dispense(self, cm: int) -> MotorStopped:
        self.called += 1
        ran = next(self._runs, lambda: MotorStopped(cm))()
        return cast("MotorStopped", await ran if asyncio.iscoroutine(ran) else ran)


async def _hangs() -> None:
    await asyncio.Event().wait()


async def _hangs_whoever_cancels(until: asyncio.Event) -> None:
    while not until.is_set():
        try:
            await until.wait()
        except asyncio.CancelledError:
            continue


def _raises(error: BaseException) -> Callable[[], Any]:
    def run() -> Any:
        raise error

    return run


def guarded(*runs: Callable[[], Any]) -> tuple[GuardedMotor, Driver]:
    driver = Driver(*runs)
    return GuardedMotor(driver, start_s=0.05, slowest_cm_per_s=1e9), driver


@pytest.mark.parametrize(
    "run",
    [
        _raises(OSError("no device")),
        _raises(RuntimeError("a driver's own error")),
        _raises(asyncio.CancelledError()),
        _hangs,
        *(lambda cm=cm: MotorStopped(cm) for cm in (-1, float("nan"), float("inf"), 100_001, 10**400, "60", None)),
        lambda: MotorStopped(60, cast("Any", "stuck")),
        lambda: None,
        lambda: 60,
    ],
)
async def test_whatever_a_driver_does_is_a_jam_in_time_and_the_next_run_is_an_ordinary_one(
    run: Callable[[], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    motor, driver = guarded(run)
    assert await asyncio.wait_for(motor.dispense(60), 5) == MotorStopped(0, "jam")
    assert "motor failed, counted as a jam" in capsys.readouterr().out
    assert await motor.dispense(60) == MotorStopped(60)
    assert driver.called == 2


async def test_fractions_of_a_centimetre_are_rounded() -> None:
    motor, _ = guarded(lambda: MotorStopped(cast("int", 59.7)), lambda: MotorStopped(cast("int", 22.2), "jam"))
    ran = [await motor.dispense(60) for _ in range(2)]
    assert ran == [MotorStopped(60), MotorStopped(22, "jam")]
    assert {type(each.cm) for each in ran} == {int}


async def test_a_hanging_driver_is_not_called_again_before_it_returns() -> None:
    ends = asyncio.Event()
    motor, driver = guarded(lambda: _hangs_whoever_cancels(ends))
    assert [await asyncio.wait_for(motor.dispense(60), 5) for _ in range(2)] == [MotorStopped(0, "jam")] * 2
    assert driver.called == 1
    ends.set()
    await asyncio.sleep(0.01)
    assert await motor.dispense(60) == MotorStopped(60)
