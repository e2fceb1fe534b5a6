"""A shadow: the running stream folded under a trial policy, as points like those that the sink writes for live answers.

Its points have a bucket of their own, with the names and times of the live ones. Pure.
"""

from collections import Counter, defaultdict
from typing import NamedTuple

from models.contract.messages import Dispense, Refuse
from models.errors import ConfigError
from models.ledger.outcomes import Answered, SiteCounted
from models.ledger.rules.policy import Sites
from models.metrics import storage
from models.metrics.catalogue import SHADOW, UNKNOWN
from models.replay.recording import RecordedEvent, Recording
from models.replay.trial_totals import TrialCounts
from models.replay.what_if import Basis, Trial, TrialAnswer, WhatIf
from models.settings import Settings
from stream_processors.sink.points import NS_PER_MS
from stream_processors.sink.rollups import Periods

__all__ = ["Shadow", "check_windows", "policy_of"]


def policy_of(run: str) -> str:
    """Return the retention policy of a shadow: `shadow`, or `shadow-NAME` for a named one."""
    return f"{storage.SHADOW}-{run}" if run else storage.SHADOW


def check_windows(trial: Trial, sites: Sites) -> None:
    """Raise ConfigError if a trial window is longer than the site's own."""
    for site, spec in sites.sites.items():
        tried = trial.policies.of(site)
        if tried and tried.window_s > spec.policy.window_s:
            raise ConfigError(
                f"the trial policy has window_s = {tried.window_s} for {site}, which deletes templates after"
                f" {spec.policy.window_s} s: try a longer window on a recording"
            )


class Shadow:
    """Turns recorded events into lines for InfluxDB, in offset order within each partition; `total` counts all."""

    def __init__(self, settings: Settings, recording: Recording, secret: bytes, trial: Trial) -> None:
        self._since = recording.since
        self._what_if = WhatIf(recording, secret, trial)
        self._periods: defaultdict[int, _PairedPeriods] = defaultdict(
            lambda: _PairedPeriods(settings.metrics_period_s, settings.metrics_k)
        )
        self.total = TrialCounts()

    def take(self, recorded: RecordedEvent) -> list[str]:
        """Fold an event and return its lines; events before the first whole period return none."""
        replayed, compared = self._what_if.fold(recorded)
        if recorded.at < self._since:
            return []
        if compared:
            self.total.add(compared)
        outcomes = [outcome for outcome in replayed.outcomes if isinstance(outcome, Answered | SiteCounted)]
        return self._periods[recorded.partition].take(recorded.at, outcomes, compared)

    def holds_templates(self, partition: int) -> bool:
        """Return whether a template of the partition is in memory."""
        return self._what_if.holds_templates(partition)


class _PairedPeriods:
    """The periods of one partition: trial answers as the sink writes live ones, and pairs of both."""

    def __init__(self, period_s: int, k: int) -> None:
        self._answers, self._count = Periods(period_s, k), 0
        self._period_ms, self._k, self._start = 1000 * period_s, k, 0
        self._pairs: defaultdict[_Pair, Counter[str]] = defaultdict(Counter)

    def take(self, at: int, outcomes: list[Answered | SiteCounted], compared: TrialAnswer | None) -> list[str]:
        lines = self._close(at)
        for outcome in outcomes:  # a shadow has no latency
            lines += self._answers.take(self._count, outcome, outcome.at)
            self._count += 1
        if compared:
            is_answerable = compared.basis is not Basis.NOTHING
            tried = _word(compared.trial) if is_answerable else UNKNOWN
            pair = _Pair(compared.recorded.site, _word(compared.recorded), tried)
            self._pairs[pair].update(_sums(compared) if is_answerable else {"n": 1, "unanswerable": 1})
        return lines

    def _close(self, at: int) -> list[str]:
        start = at - at % self._period_ms
        if start <= self._start:
            return []
        at_ns, suppressed = self._start * NS_PER_MS, Counter[str]()
        lines = []
        for pair, sums in self._pairs.items():
            is_told = sums["n"] >= self._k
            suppressed[pair.site] += 0 if is_told else sums["n"]
            lines += [SHADOW.line(at_ns, pair._asdict(), sums)] if is_told else []
        lines += [SHADOW.line(at_ns, {"site": site}, {"suppressed": n}) for site, n in suppressed.items()]
        self._start = start
        self._pairs.clear()
        return lines


class _Pair(NamedTuple):
    """The live and the trial answer that requests of a site have in common."""

    site: str
    live: str
    tried: str


def _sums(compared: TrialAnswer) -> dict[str, int]:
    """Return what a request adds to the sums of its pair."""
    sums = {"n": 1, "unanswerable": 0}
    for name, answered in (("live", compared.recorded), ("tried", compared.trial)):
        command = answered.command
        sums |= {
            f"{name}_granted": int(isinstance(command, Dispense)),
            f"{name}_refused": int(isinstance(command, Refuse)),
            f"{name}_cm": command.cm if isinstance(command, Dispense) else 0,
        }
    return sums


def _word(answered: Answered) -> str:
    return answered.command.reason if isinstance(answered.command, Refuse) else "dispense"
