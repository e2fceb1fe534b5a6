"""What-if: every recorded answer next to the answer under another policy or other thresholds. Pure.

Motors are known for the recorded answers only. A portion that only the trial grants counts as dispensed in full, one
that the trial refuses as not dispensed; a portion of another length as far as the recorded one came.

A face is searched again by its template. If the template cannot be read any more, the recorded identity is not enough:
it does not contain the visitors that the trial would have remembered longer, so such an answer is not answerable. For
a real site, follow the running stream with a shadow while its templates can be read.
"""

from collections import defaultdict, deque
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct, structs

from models.contract.face_models import FaceModel
from models.contract.messages import Answer, Dispense, Dispensed, Forgotten
from models.ledger.decision import Moment
from models.ledger.events import Reported, SiteConfigured
from models.ledger.outcomes import Answered
from models.ledger.reports import settle
from models.ledger.rows import PARTITION_KEY
from models.ledger.rules.policy import Policies
from models.ledger.state.site import Site
from models.replay.recording import RecordedEvent, Recording
from models.replay.replay import IdentitySource, Replay, Replayed, recorded_answer

__all__ = ["Basis", "Trial", "TrialAnswer", "WhatIf", "granted_cm"]


class Basis(StrEnum):
    """What a trial answer is based on."""

    TEMPLATES = "from templates"
    NO_FACE = "without a face"
    NOTHING = "not answerable"
    """The recording does not hold what the answer depends on."""


class Trial(Struct, frozen=True, kw_only=True):
    """The policies and thresholds to try."""

    policies: Policies = Policies()
    models: Mapping[str, FaceModel] | None = None
    """with trial thresholds; None: the present ones"""
    is_live: bool = False
    """Limits each trial window to the site's own, so that no template is kept longer."""

    def rewrite(self, event: SiteConfigured) -> SiteConfigured:
        """Return a site's settings with its trial policy."""
        policy = self.policies.of(event.site) or event.policy
        if self.is_live:
            policy = structs.replace(policy, window_s=min(policy.window_s, event.policy.window_s))
        return structs.replace(event, policy=policy)


class TrialAnswer(NamedTuple):
    """A request with its recorded answer and its trial answer."""

    recorded: Answered
    trial: Answered
    basis: Basis


class WhatIf:
    """Folds recorded events under a trial. Memory: that of a replay, and the differences of one window."""

    def __init__(self, recording: Recording, pipeline_secret: bytes, trial: Trial) -> None:
        self._trial = trial
        self._replay = Replay(recording, pipeline_secret, trial.rewrite, trial.models)
        self._windows = {
            site: row.policy.window_ms for settings in recording.settings.values() for site, row in settings.items()
        }
        """recorded window of each site, milliseconds"""
        self._motors: defaultdict[str, _Motors] = defaultdict(_Motors)

    @property
    def sites(self) -> frozenset[str]:
        """Sites with recorded settings."""
        return frozenset(self._windows)

    @property
    def longer_windows(self) -> dict[str, tuple[int, int]]:
        """Sites whose trial window is longer, with the recorded and the trial window in seconds."""
        tried = {site: self._trial.policies.of(site) for site in sorted(self._windows)}
        windows = {site: (self._windows[site] // 1000, policy.window_s) for site, policy in tried.items() if policy}
        return {site: (recorded, trial) for site, (recorded, trial) in windows.items() if trial > recorded}

    def holds_templates(self, partition: int) -> bool:
        """Return whether a template of the partition is in memory, live or expired."""
        known = self._replay.partitions.get(partition)
        return known is not None and any(site.count_templates(0) for site in known.sites.values())

    def fold(self, recorded: RecordedEvent) -> tuple[Replayed, TrialAnswer | None]:
        """Decide the event under the trial; no TrialAnswer if it asks for no paper or has no recorded answer."""
        match recorded.event:
            case SiteConfigured(site=name, policy=policy):
                self._windows[name] = policy.window_ms
            case Reported(site=name) as event:
                recorded = structs.replace(recorded, event=self._motors[name].rewritten(event))
            case _:
                pass
        replayed, before = self._replay.fold(recorded), recorded_answer(recorded)
        trial = next((outcome for outcome in replayed.outcomes if isinstance(outcome, Answered)), None)
        site = self._replay.site(recorded)
        if before is None or trial is None or site is None or before.repeated or isinstance(before.command, Forgotten):
            return replayed, None
        self._motors[site.name].note_answer(site, before, trial)
        return replayed, TrialAnswer(before, trial, _basis(replayed))


def granted_cm(command: Answer) -> int:
    """Return what an answer grants, centimetres; 0 for a refusal."""
    return command.cm if isinstance(command, Dispense) else 0


def _basis(replayed: Replayed) -> Basis:
    if not replayed.is_proven or replayed.identity_source is IdentitySource.RECORD:
        return Basis.NOTHING
    return Basis.NO_FACE if replayed.identity_source is IdentitySource.NOTHING else Basis.TEMPLATES


class _Motors:
    """The reports that a site's motors would have sent under the trial."""

    def __init__(self) -> None:
        self._changed: dict[tuple[str, str], tuple[int, int]] = {}
        """recorded and trial centimetres of requests whose portion changed, by device and request id"""
        self._ages: deque[tuple[int, tuple[str, str]]] = deque()

    def note_answer(self, site: Site, recorded: Answered, trial: Answered) -> None:
        """Store a portion that changed, and settle one that only the trial grants."""
        horizon = site.horizon(trial.at)
        while self._ages and self._ages[0][0] <= horizon:
            self._changed.pop(self._ages.popleft()[1], None)
        cm_recorded, cm = granted_cm(recorded.command), granted_cm(trial.command)
        if cm_recorded == cm or trial.repeated:
            return
        request = (trial.device, trial.command.request)
        self._changed[request] = (cm_recorded, cm)
        self._ages.append((trial.at, request))
        if cm_recorded == 0:
            _dispense(site, trial, cm)

    def rewritten(self, event: Reported) -> Reported:
        """Return a report on such a portion as it would have been."""
        report = event.report
        if not isinstance(report, Dispensed) or (event.device, report.request) not in self._changed:
            return event
        cm_recorded, cm = self._changed[event.device, report.request]
        dispensed_cm = cm if report.cm >= cm_recorded else min(report.cm, cm)
        fault = report.fault if cm else None
        return structs.replace(event, report=structs.replace(report, cm=dispensed_cm, fault=fault))


def _dispense(site: Site, answered: Answered, cm: int) -> None:
    """Settle a grant in full, with a report number that was received before, so that no real number is used up."""
    number = max(site.numbering(answered.device).upto, 1)
    report = Dispensed(number=number, request=answered.command.request, cm=cm)
    event = Reported(site=site.name, device=answered.device, report=report)
    decision = settle(site, event, Moment(answered.at, answered.offset, site.horizon(answered.at)))
    if decision.row is not None and decision.key != PARTITION_KEY:
        site.put(decision.key, decision.row)
