"""The output of a running replay: counts, rows on standard output, progress."""

import csv
import sys
from collections.abc import Callable, Mapping
from typing import Literal

from models.contract.codec import encode
from models.replay.replay import Comparison, Replayed
from models.replay.summary import Filter, ReplayRow, Tally, rows
from stream_processors.replay.player import Source, is_before

__all__ = ["ReplayOutput", "Sheet"]

Sheet = Literal["json", "csv"]


class ReplayOutput:
    """Receives each replayed event. Counts cover the requested range, rows only what was not printed before."""

    def __init__(self, source: Source, rows: Filter, sheet: Sheet | None, begin: Mapping[int, int]) -> None:
        self._source = source
        self._filter = rows
        self._write = _writer(sheet, is_new=not begin)
        self._begin = begin
        self._done = 0
        self.progress: Callable[[int, int], None] = lambda _done, _total: None
        self.tally = Tally()
        self.next: dict[int, int] = {}
        """the next offset of each partition"""

    def report(self, replayed: Replayed) -> None:
        """Count it, and write its rows."""
        recorded = replayed.recorded
        self._done += 1
        self.progress(self._done, self._source.total)
        self.next[recorded.partition] = recorded.offset + 1
        if recorded.at < self._source.recording.since:
            return
        self.tally.add(replayed)
        if self._write and not is_before(recorded, self._begin):
            for row in rows(replayed):
                if self._filter.matches(row):
                    self._write(row)

    @property
    def exit_code(self) -> int:
        """1 if a decision differs from the recorded one although all that it depends on is recorded."""
        return int(any(counts.get(Comparison.DIFFERENT) for counts in self.tally.comparison.values()))


def _writer(sheet: Sheet | None, *, is_new: bool) -> Callable[[ReplayRow], object] | None:
    match sheet:
        case None:
            return None
        case "json":
            return lambda row: sys.stdout.write(encode(row).decode() + "\n")
        case "csv":
            names, table = ReplayRow.__struct_fields__, csv.writer(sys.stdout)
            if is_new:
                table.writerow(names)
            return lambda row: table.writerow([getattr(row, name) for name in names])
