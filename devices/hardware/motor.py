"""The motor: a port, and a simulated one."""

import asyncio
import random
from typing import Protocol

from devices.machine.actions import Ran

__all__ = ["Motor", "SimulatedMotor"]


class Motor(Protocol):
    """Whatever pulls the paper."""

    async def dispense(self, cm: int) -> Ran:
        """Give up to `cm`; return what came out, with the fault where that is less.

        It ends within seconds. OSError, from a driver that cannot be spoken to, counts as a jam with nothing out.
        """
        ...


class SimulatedMotor:
    """A roll that runs empty and, at a seeded rate, jams half-way."""

    def __init__(self, *, roll_cm: int = 30_000, cm_per_s: float = 100.0, jam_rate: float = 0.0, seed: int = 0) -> None:
        self.roll_cm = roll_cm
        self._cm_per_s = cm_per_s
        self._jam_rate = jam_rate
        self._random = random.Random(seed)  # noqa: S311 - a simulation

    async def dispense(self, cm: int) -> Ran:
        jams = self._random.random() < self._jam_rate
        out = min(cm // 2 if jams else cm, self.roll_cm)
        await asyncio.sleep(out / self._cm_per_s)
        self.roll_cm -= out
        if jams:
            return Ran(out, "jam")
        return Ran(out, "empty" if out < cm else None)
