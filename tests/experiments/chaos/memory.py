"""Memory of processes over time, and whether it stays flat.

What counts is anonymous memory, RssAnon of /proc/PID/status. Pages of files (influxd maps its data, Java its jars) are
page cache: the kernel takes them away when it needs them.
"""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from msgspec import Struct

__all__ = ["CRITERION", "Growth", "growth", "sample"]

_SHARE, _MB = 0.10, 10.0
CRITERION = (
    "anonymous memory (RssAnon); flat: after the warm-up the fitted line rises by less than 10 % of the first, or 10 MB"
)

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
            if (mb := _anonymous_mb(pid)) is not None:
                samples.setdefault(name, []).append((time.monotonic() - started, mb))
        await asyncio.sleep(every_s)


def _anonymous_mb(pid: int) -> float | None:
    """None for a process that has ended: a zombie has no memory left."""
    try:
        found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return None
    return int(found[1]) * 1024 / 1e6 if found else None
