"""What any motor must do."""

import asyncio
from collections.abc import Callable

import pytest

from devices.hardware.motor import Motor, SimulatedMotor
from devices.machine.actions import Ran


class Roll:
    """A motor without any time: the least that a port asks for."""

    def __init__(self, roll_cm: int) -> None:
        self._roll_cm = roll_cm

    async def dispense(self, cm: int) -> Ran:
        out = min(cm, self._roll_cm)
        self._roll_cm -= out
        return Ran(out, "empty" if out < cm else None)


def _prompt(roll_cm: int) -> Motor:
    return SimulatedMotor(roll_cm=roll_cm, cm_per_s=1e9)


def _jamming(roll_cm: int) -> Motor:
    return SimulatedMotor(roll_cm=roll_cm, cm_per_s=1e9, jam_rate=0.5, seed=4)


each_motor = pytest.mark.parametrize("with_roll", [Roll, _prompt, _jamming])
WithRoll = Callable[[int], Motor]


@each_motor
@pytest.mark.parametrize("cm", [1, 60, 999])
async def test_what_comes_out_is_what_was_asked_or_less_with_the_fault(with_roll: WithRoll, cm: int) -> None:
    motor = with_roll(20_000)
    for _ in range(20):
        ran = await motor.dispense(cm)
        assert 0 <= ran.cm <= cm
        assert (ran.fault is None) == (ran.cm == cm)


@each_motor
async def test_a_roll_never_gives_more_than_it_holds_and_then_says_that_it_is_empty(with_roll: WithRoll) -> None:
    motor = with_roll(300)
    runs = [await motor.dispense(60) for _ in range(40)]
    assert sum(ran.cm for ran in runs) == 300
    assert runs[-1].cm == 0
    assert "empty" in {ran.fault for ran in runs}


@each_motor
async def test_the_last_centimetre_is_no_fault(with_roll: WithRoll) -> None:
    motor = with_roll(5)
    for _ in range(5):
        ran = await motor.dispense(1)
        while ran.fault == "jam":
            ran = await motor.dispense(1)
        assert ran == Ran(1)
    while (ran := await motor.dispense(1)).fault == "jam":
        assert ran.cm == 0
    assert ran == Ran(0, "empty")


async def test_the_simulated_motor_jams_alike_with_one_seed() -> None:
    runs = [[await motor.dispense(60) for _ in range(30)] for motor in (_jamming(20_000), _jamming(20_000))]
    assert runs[0] == runs[1]
    assert Ran(30, "jam") in runs[0]
    assert Ran(60) in runs[0]


async def test_the_simulated_motor_takes_its_time() -> None:
    running = asyncio.ensure_future(SimulatedMotor(cm_per_s=1.0).dispense(3600))
    await asyncio.sleep(0)
    assert not running.done()
    running.cancel()
