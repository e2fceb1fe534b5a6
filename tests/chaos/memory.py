"""Resident memory of processes over time, and whether it stays flat."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct

__all__ = ["CRITERION", "Growth", "growth", "sample"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_SHARE, _MB = 0.10, 10.0
CRITERION = "flat: after the warm-up the fitted line rises by less than 10 % of the memory at its start, or 10 MB"

Samples = dict[str, list[tuple[float, float]]]
"""of each process: seconds since the start, and MB"""


class Growth(Struct, frozen=True, kw_only=True):
    """Of one process, after its warm-up; MB and minutes."""

    first: float
    last: float
    a_minute: float
    """slope of the fitted line"""
    rise: float
    """of that line, over the time that was measured"""

    @property
    def is_flat(self) -> bool:
        return self.rise < max(_SHARE * self.first, _MB)


def growth(samples: Sequence[tuple[float, float]]) -> Growth:
    """By least squares; at least two samples."""
    seconds, mb = np.array(samples).T
    slope = float(np.polyfit(seconds, mb, 1)[0])
    return Growth(
        first=float(mb[0]), last=float(mb[-1]), a_minute=60 * slope, rise=slope * float(seconds[-1] - seconds[0])
    )


async def sample(pids: Mapping[str, int], every_s: float, samples: Samples) -> None:
    """Add a sample of each process, again and again until cancelled; one that has ended gets no more."""
    started = time.monotonic()
    while True:
        for name, pid in pids.items():
            if (mb := _resident_mb(pid)) is not None:
                samples.setdefault(name, []).append((time.monotonic() - started, mb))
        await asyncio.sleep(every_s)


def _resident_mb(pid: int) -> float | None:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6
    except OSError:
        return None
