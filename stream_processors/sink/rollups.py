"""Sums of answers over closed periods; no point describes one visitor. Pure.

A period closes when a later decision, a tick's at the latest, moves the partition's time past its end. Its points carry
the time of its beginning, so that summing it up again overwrites them.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple, TypeVar

from models.contract.face_models import FACE_MODELS
from models.contract.messages import Dispense, Forgotten, Refuse
from models.ledger.outcomes import Answered, By, Identity, Outcome, ReportKept, SiteCounted
from models.metrics.catalogue import ANSWERS, FACES, REQUESTS
from stream_processors.sink.points import NS_PER_MS, outcome_point

__all__ = ["Periods"]

_PERCENTILES = {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99, "max_ms": 100}


class Periods:
    """The points of one partition of `fairroll.decisions`, and its open period. Feed it every record, in order.

    `begun` is the offset that the open period began with. A new object that starts to read there produces the
    same points again: it may be committed once all lines so far are written. A record that does not follow the last
    one, as after a rebalance, starts over.
    """

    def __init__(self, period_s: int, k: int) -> None:
        self._period_ms, self._k = 1000 * period_s, k
        self.begun = self._next = -1
        self._restart(-1)

    def take(self, offset: int, outcome: Outcome, appended: int) -> list[str]:
        """Return the lines of a record: its own, and those of the period that it closes.

        A redelivered outcome, whose event's offset is not above all others so far, has none. Only a new outcome begins
        a period, so that a consumer that starts there makes the same points.
        """
        self._follow(offset)
        if self._is_known(outcome):
            return []
        self._latest = outcome.offset
        lines = self._close(outcome.at, offset)
        match outcome:
            case Answered():
                self._sites[outcome.site].add(outcome, max(0, appended - outcome.at))
            case ReportKept():
                self._sites[outcome.site].reports += 1
            case SiteCounted():
                _ = self._sites[outcome.site]  # a site without requests has sums of 0, so that its silence is visible
        own = outcome_point(outcome, appended)
        return [*lines, own] if own else lines

    def skip(self, offset: int) -> None:
        """Skip a record that cannot be read."""
        self._follow(offset)

    def _follow(self, offset: int) -> None:
        if offset != self._next:
            self._restart(offset)
        self._next = offset + 1

    def _restart(self, offset: int) -> None:
        self.begun = self._next = offset
        self._latest, self._start_ms = -1, 0
        self._sites: defaultdict[str, _Sums] = defaultdict(_Sums)

    def _is_known(self, outcome: Outcome) -> bool:
        """Whether an outcome was counted before; all sites of a tick share its offset."""
        if isinstance(outcome, SiteCounted):
            return outcome.offset < self._latest
        return outcome.offset <= self._latest

    def _close(self, at: int, offset: int) -> list[str]:
        """End the open period if `at` is past it, or before it: then the partition's clock was set back."""
        start_ms = at - at % self._period_ms
        if start_ms == self._start_ms:
            return []
        at_ns = self._start_ms * NS_PER_MS
        lines = [line for site, sums in self._sites.items() for line in sums.lines(site, at_ns, self._k)]
        self.begun, self._start_ms = offset, start_ms
        self._sites.clear()
        return lines


class _Answer(NamedTuple):
    """A cell of `answers`."""

    by: By
    outcome: str
    reason: str | None


class _Face(NamedTuple):
    """A cell of `faces`."""

    model: str | None
    identity: Identity


_Cell = TypeVar("_Cell", _Answer, _Face)


class _Sums:
    """The sums of one site in one period: each cell with its fields."""

    def __init__(self) -> None:
        self._answers: defaultdict[_Answer, Counter[str]] = defaultdict(Counter)
        self._faces: defaultdict[_Face, Counter[str]] = defaultdict(Counter)
        self._waits: Counter[int] = Counter()
        self._repeats = 0
        self.reports = 0

    def add(self, answered: Answered, wait_ms: int) -> None:
        if answered.repeated:
            self._repeats += 1
            return
        self._waits[wait_ms] += 1
        command = answered.command
        reason = command.reason if isinstance(command, Refuse) else None
        cell = self._answers[_Answer(answered.by, str(command.__struct_config__.tag), reason)]
        cell.update(n=1, cm=command.cm if isinstance(command, Dispense) else 0)
        if isinstance(command, Forgotten):
            cell.update(erased=command.erased)
        if answered.identity:
            model = answered.model if answered.model in FACE_MODELS else None
            face, score = self._faces[_Face(model, answered.identity)], answered.score
            face.update(n=1, scored=int(score is not None), score_sum=score or 0)

    def lines(self, site: str, at_ns: int, k: int) -> list[str]:
        """The lines of the period; cells below `k` count in `suppressed` only."""
        answers, suppressed = _published(self._answers, k)
        faces, suppressed_faces = _published(self._faces, k)
        n = self._waits.total()
        fields = {
            "n": n,
            "suppressed": suppressed,
            "suppressed_faces": suppressed_faces,
            "repeats": self._repeats,
            "reports": self.reports,
        }
        waits = _percentiles(self._waits) if n >= k else {}
        return [
            REQUESTS.line(at_ns, {"site": site}, fields | waits),
            *(ANSWERS.line(at_ns, {"site": site, **cell._asdict()}, sums) for cell, sums in answers.items()),
            *(FACES.line(at_ns, {"site": site, **cell._asdict()}, sums) for cell, sums in faces.items()),
        ]


def _published(cells: Mapping[_Cell, Counter[str]], k: int) -> tuple[dict[_Cell, Counter[str]], int]:
    """Return the cells of `k` requests or more, and the number of requests in the others."""
    published = {cell: sums for cell, sums in cells.items() if sums["n"] >= k}
    return published, sum(sums["n"] for sums in cells.values()) - sum(sums["n"] for sums in published.values())


def _percentiles(waits: Counter[int]) -> dict[str, int]:
    """Return percentiles by the nearest rank; empty without waits."""
    ordered = sorted(waits)
    ranks = list(accumulate(waits[wait] for wait in ordered))
    return {
        name: next(wait for wait, rank in zip(ordered, ranks, strict=True) if 100 * rank >= percent * ranks[-1])
        for name, percent in _PERCENTILES.items()
        if ranks
    }
