"""The motor: a port, the guard around any driver, and a simulated motor."""

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
"""Motors give 20 to 30 cm/s. One that needs longer than this, after the time to start, is taken for stuck."""


class Motor(Protocol):
    """Whatever pulls the paper."""

    async def dispense(self, cm: int) -> MotorStopped:
        """Give up to `cm`; return what came out, with the fault where that is less.

        May raise anything. Must not block the event loop: a blocking driver runs in a thread or process of its own.
        """
        ...


class GuardedMotor:
    """Any motor, with a deadline. Never raises; what went wrong is logged, and counts as a jam with nothing out.

    Nobody knows what came out of a motor that failed, and doubt favours the visitor.
    """

    def __init__(self, motor: Motor, *, start_s: float = _START_S, slowest_cm_per_s: float = _SLOWEST_CM_PER_S) -> None:
        """The deadline of a run: `start_s`, and the time that `slowest_cm_per_s` takes."""
        self._motor = motor
        self._start_s = start_s
        self._slowest_cm_per_s = slowest_cm_per_s
        self._run: asyncio.Task[MotorStopped] | None = None

    async def dispense(self, cm: int) -> MotorStopped:
        """Run the motor. While an earlier run still hangs in the driver, this one is a jam and calls nothing."""
        try:
            ran = await self._within(self._start_s + cm / self._slowest_cm_per_s, cm)
            return checked(MotorStopped(round(ran.cm), ran.fault))
        except Exception as error:  # noqa: BLE001 - a driver may fail in any way, and the next person must be served
            log.error("motor failed, counted as a jam", error=repr(error))
            return MotorStopped(0, "jam")

    async def _within(self, deadline_s: float, cm: int) -> MotorStopped:
        """Cancel a run at its deadline, and do not wait for it: the driver may ignore that."""
        if self._run and not self._run.done():
            raise TimeoutError("an earlier run still hangs")
        self._run = asyncio.create_task(_ran(self._motor, cm), name="motor driver")
        try:
            await asyncio.wait({self._run}, timeout=deadline_s)
            if not self._run.done():
                raise TimeoutError(f"no result within {deadline_s:g} s")
            if self._run.cancelled():
                raise RuntimeError("the driver cancelled itself")
            return self._run.result()
        finally:
            self._run.cancel()


async def _ran(motor: Motor, cm: int) -> MotorStopped:
    """As a coroutine, whatever the driver makes of its call."""
    return await motor.dispense(cm)


class SimulatedMotor:
    """A roll that runs empty and, at a seeded rate, jams half-way."""

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
