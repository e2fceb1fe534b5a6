"""The motor: a port, a guard around any driver, and a simulated motor."""

import asyncio
import random
from typing import Protocol

import structlog

from devices.hardware.readings import checked
from devices.machine.actions import MotorStopped

__all__ = ["GuardedMotor", "Motor", "SimulatedMotor"]

log = structlog.get_logger()

_START_S = 5.0
_SLOWEST_CM_PER_S = 10.0
"""Motors dispense 20 to 30 cm/s. A run that is slower, after the time to start, counts as stuck."""


class Motor(Protocol):
    """Dispenses paper."""

    async def dispense(self, cm: int) -> MotorStopped:
        """Dispense up to `cm` centimetres; return the length that came out, with the fault if it is less.

        May raise any exception. Must not block the event loop: run a blocking driver in a thread or process.
        """
        ...


class GuardedMotor:
    """Runs a motor with a deadline. Never raises: a failure is logged and reported as a jam with 0 cm.

    The length that came out of a failed motor is unknown; reporting 0 cm favours the visitor.
    """

    def __init__(self, motor: Motor, *, start_s: float = _START_S, slowest_cm_per_s: float = _SLOWEST_CM_PER_S) -> None:
        """The deadline of a run is `start_s` plus the time that `slowest_cm_per_s` takes."""
        self._motor = motor
        self._start_s = start_s
        self._slowest_cm_per_s = slowest_cm_per_s
        self._run: asyncio.Task[MotorStopped] | None = None

    async def dispense(self, cm: int) -> MotorStopped:
        """Run the motor. While an earlier run hangs in the driver, return a jam without a call of the driver."""
        try:
            ran = await self._within(self._start_s + cm / self._slowest_cm_per_s, cm)
            return checked(MotorStopped(round(ran.cm), ran.fault))
        except Exception as error:  # noqa: BLE001 - a driver may raise anything, and the next visitor must be served
            log.error("motor failed, counted as a jam", error=repr(error))
            return MotorStopped(0, "jam")

    async def _within(self, deadline_s: float, cm: int) -> MotorStopped:
        """Cancel a run at its deadline without waiting for it: the driver may ignore the cancellation."""
        if self._run and not self._run.done():
            raise TimeoutError("an earlier run still hangs")
        self._run = asyncio.create_task(_run_driver(self._motor, cm), name="motor driver")
        try:
            await asyncio.wait({self._run}, timeout=deadline_s)
            if not self._run.done():
                raise TimeoutError(f"no result within {deadline_s:g} s")
            if self._run.cancelled():
                raise RuntimeError("the driver cancelled itself")
            return self._run.result()
        finally:
            self._run.cancel()


async def _run_driver(motor: Motor, cm: int) -> MotorStopped:
    """Wrap the call in a coroutine, so that errors of the call itself are caught too."""
    return await motor.dispense(cm)


class SimulatedMotor:
    """A simulated motor: the roll runs empty and, at a seeded rate, a run jams half-way."""

    def __init__(self, *, roll_cm: int = 30_000, cm_per_s: float = 100.0, jam_rate: float = 0.0, seed: int = 0) -> None:
        self.roll_cm = roll_cm
        self._cm_per_s = cm_per_s
        self._jam_rate = jam_rate
        self._random = random.Random(seed)  # noqa: S311 - a simulation

    async def dispense(self, cm: int) -> MotorStopped:
        jams = self._random.random() < self._jam_rate
        out = min(cm // 2 if jams else cm, self.roll_cm)
        await asyncio.sleep(out / self._cm_per_s)
        self.roll_cm -= out
        if jams:
            return MotorStopped(out, "jam")
        return MotorStopped(out, "empty" if out < cm else None)
