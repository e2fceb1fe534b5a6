"""The soak as a picture: memory by process, and waits."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from tests.experiments.chaos.memory import Samples

__all__ = ["draw"]

_BIN_S = 10.0


def draw(path: Path, samples: Samples, answers: Sequence[tuple[float, float]]) -> None:
    """Write a PNG; `answers`: time of each answer and its latency, seconds."""
    mpl.use("Agg")
    figure = Figure(figsize=(11, 8), layout="constrained")
    memory, waits = figure.subplots(2, 1, sharex=True)
    for name, taken in samples.items():
        memory.plot(*np.array(taken).T, label=name)
    memory.set_ylabel("anonymous memory, MB")
    memory.set_ylim(bottom=0)
    memory.legend(ncols=2, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    for percent, line in _by_time(answers).items():
        waits.plot(*np.array(line).T, label=f"p{percent}")
    waits.set_ylabel(f"wait for an answer, ms, in {_BIN_S:g} s")
    waits.set_xlabel("seconds")
    waits.set_ylim(bottom=0)
    waits.legend(loc="upper left", bbox_to_anchor=(1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _by_time(answers: Sequence[tuple[float, float]]) -> dict[int, list[tuple[float, float]]]:
    moments, waited = np.array(answers).T
    lines: dict[int, list[tuple[float, float]]] = {50: [], 99: []}
    for start in np.arange(0, moments.max(), _BIN_S):
        within = waited[(moments >= start) & (moments < start + _BIN_S)]
        for percent, line in lines.items():
            if within.size:
                line.append((float(start), 1000 * float(np.percentile(within, percent))))
    return lines
