"""How fast a replay is beside the plain fold, and how much memory it takes."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from infra.replay.output import ReplayOutput
from models.ledger.events import Record
from models.ledger.partition import Partition
from models.replay.recording import RecordedEvent
from models.replay.replay import Comparison, Replay
from models.replay.summary import Filter
from stream_processors.replay.archive_file import header_of, open_archive, writing
from stream_processors.replay.pace import Pace
from stream_processors.replay.player import play
from tests.experiments.replay_proof.recorded import recording
from tests.support.story import SECRET

__all__ = ["Speed", "peak_mb", "speed", "write_archive"]

_PEAK_KB = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_LOOK_AGAIN_S = 0.02


class Speed(NamedTuple):
    """Events a second of processor time, of one recording in one process: others work on this machine too."""

    events: int
    fold: float
    """Partition.fold on events that are decoded and in memory"""
    replay: float
    """from the file: unpacked, checked, decoded, folded, compared with the recorded outcomes, counted"""
    opening: float
    """the first pass, which checks every link before anything is replayed"""


def write_archive(path: Path, recorded_events: Iterable[RecordedEvent]) -> int:
    """Returns how many they were."""
    with writing(path, header_of(recording(), SECRET)) as archive:
        for recorded in recorded_events:
            archive.put(recorded)
        return archive.close(unreadable=0).events


def speed(path: Path) -> Speed:
    """In turns, the median of three rounds."""
    records = [Record(offset=one.offset, at=one.at, event=one.event) for one in open_archive(path)]
    rounds = [(_fold(records), _replay(path), _open(path)) for _ in range(3)]
    fold, replay, opening = (len(records) / median(seconds) for seconds in zip(*rounds, strict=True))
    return Speed(len(records), fold, replay, opening)


def _fold(records: list[Record]) -> float:
    partition = Partition(SECRET)
    started = time.process_time()
    for record in records:
        partition.fold(record)
    return time.process_time() - started


def _replay(path: Path) -> float:
    archive = open_archive(path)
    telling = ReplayOutput(archive, Filter(), None, {})
    started = time.process_time()
    asyncio.run(play(archive, Replay(archive.recording, SECRET), Pace(None), {}, telling.report))
    took = time.process_time() - started
    assert all(counts.keys() == {Comparison.EQUAL} for counts in telling.tally.comparison.values())
    return took


def _open(path: Path) -> float:
    started = time.process_time()
    open_archive(path)
    return time.process_time() - started


def peak_mb(path: Path, secrets: Path) -> float:
    """The most memory that `fairroll replay FILE` has in its life, megabytes.

    Sampled while it runs: `wait4` includes the memory of the process that started it.
    """
    command = [sys.executable, "-m", "infra.cli", "replay", str(path)]
    environ = os.environ | {"FAIRROLL_SECRETS": str(secrets)}
    peak_kb = 0
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak_kb = max(peak_kb, *map(int, _PEAK_KB.findall(status)), 0)
            time.sleep(_LOOK_AGAIN_S)
    assert process.returncode == 0
    return peak_kb / 1024
