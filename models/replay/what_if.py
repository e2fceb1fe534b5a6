"""What-if: every recorded answer next to the answer under another policy or other thresholds. Pure.

Motors are known for the recorded answers only. A portion that only the trial grants counts as dispensed in full, one
that the trial refuses as not dispensed; a portion of another length as far as the recorded one came.

A face is searched again by its template. Where templates cannot be read any more, the recorded identity does not say
whom the trial would have remembered longer, so such an answer is not answerable. For a real site, follow the running
stream with a shadow while its templates can be read.
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
from models.ledger.policy import Policies
from models.ledger.reports import settle
from models.ledger.rows import PARTITION_KEY
from models.ledger.site import Site
from models.replay.recording import Happening, Recording
from models.replay.replay import Known, Replay, Replayed, answered_then

__all__ = ["Basis", "Compared", "Trial", "WhatIf", "granted_cm"]


class Basis(StrEnum):
    """What an answer on trial rests on."""

    TEMPLATES = "from templates"
    NO_FACE = "without a face"
    NOTHING = "not answerable"
    """The recording does not hold what the answer depends on."""


class Trial(Struct, frozen=True, kw_only=True):
    """What is tried."""

    policies: Policies = Policies()
    models: Mapping[str, FaceModel] | None = None
    """with other thresholds; None: as they were"""
    is_live: bool = False
    """No site remembers anybody longer than it does without the trial."""

    def rewrite(self, event: SiteConfigured) -> SiteConfigured:
        """A site's settings with its policy on trial."""
        policy = self.policies.of(event.site) or event.policy
        if self.is_live:
            policy = structs.replace(policy, window_s=min(policy.window_s, event.policy.window_s))
        return structs.replace(event, policy=policy)


class Compared(NamedTuple):
    """One request, answered twice."""

    then: Answered
    tried: Answered
    basis: Basis


class WhatIf:
    """Folds happenings under what is on trial. Its memory is that of a replay, and of a window's differences."""

    def __init__(self, recording: Recording, pipeline_secret: bytes, trial: Trial) -> None:
        self._trial = trial
        self._replay = Replay(recording, pipeline_secret, trial.rewrite, trial.models)
        self._windows = {
            site: row.policy.window_ms for settings in recording.settings.values() for site, row in settings.items()
        }
        """how long each site remembered then, milliseconds"""
        self._motors: defaultdict[str, _Motors] = defaultdict(_Motors)

    @property
    def sites(self) -> frozenset[str]:
        """All whose settings are known."""
        return frozenset(self._windows)

    @property
    def longer_windows(self) -> dict[str, tuple[int, int]]:
        """Sites that remember longer on trial than then, with both windows in seconds."""
        tried = {site: self._trial.policies.of(site) for site in sorted(self._windows)}
        windows = {site: (self._windows[site] // 1000, policy.window_s) for site, policy in tried.items() if policy}
        return {site: (then, tried) for site, (then, tried) in windows.items() if tried > then}

    def holds_templates(self, partition: int) -> bool:
        """Whether somebody's is in memory, live or not."""
        known = self._replay.partitions.get(partition)
        return known is not None and any(site.captures(0) for site in known.sites.values())

    def fold(self, happening: Happening) -> tuple[Replayed, Compared | None]:
        """Decide it as on trial; None where nobody asked for paper, or where no answer of then is there."""
        match happening.event:
            case SiteConfigured(site=site, policy=policy):
                self._windows[site] = policy.window_ms
            case Reported(site=site) as event:
                happening = structs.replace(happening, event=self._motors[site].told(event))
            case _:
                pass
        replayed, then = self._replay.fold(happening), answered_then(happening)
        tried = next((outcome for outcome in replayed.outcomes if isinstance(outcome, Answered)), None)
        site_now = self._replay.site(happening)
        if then is None or tried is None or site_now is None or then.repeated or isinstance(then.command, Forgotten):
            return replayed, None
        self._motors[site_now.name].answered(site_now, then, tried)
        return replayed, Compared(then, tried, _basis(replayed))


def granted_cm(command: Answer) -> int:
    """Return what an answer grants, centimetres; 0 for a refusal."""
    return command.cm if isinstance(command, Dispense) else 0


def _basis(replayed: Replayed) -> Basis:
    if not replayed.is_proven or replayed.known is Known.RECORD:
        return Basis.NOTHING
    return Basis.NO_FACE if replayed.known is Known.NOTHING else Basis.TEMPLATES


class _Motors:
    """What the motors of a site would have done."""

    def __init__(self) -> None:
        self._changed: dict[tuple[str, str], tuple[int, int]] = {}
        """centimetres then and on trial, of requests whose portion changed, by device and id"""
        self._ages: deque[tuple[int, tuple[str, str]]] = deque()

    def answered(self, site: Site, then: Answered, tried: Answered) -> None:
        """Remember a portion that changed, and settle one that nobody gave then."""
        horizon = site.horizon(tried.at)
        while self._ages and self._ages[0][0] <= horizon:
            self._changed.pop(self._ages.popleft()[1], None)
        cm_then, cm = granted_cm(then.command), granted_cm(tried.command)
        if cm_then == cm or tried.repeated:
            return
        asked = (tried.device, tried.command.request)
        self._changed[asked] = (cm_then, cm)
        self._ages.append((tried.at, asked))
        if cm_then == 0:
            _dispense(site, tried, cm)

    def told(self, event: Reported) -> Reported:
        """A report on such a portion, as it would have been."""
        report = event.report
        if not isinstance(report, Dispensed) or (event.device, report.request) not in self._changed:
            return event
        cm_then, cm = self._changed[event.device, report.request]
        came = cm if report.cm >= cm_then else min(report.cm, cm)
        return structs.replace(event, report=structs.replace(report, cm=came, fault=report.fault if cm else None))


def _dispense(site: Site, answered: Answered, cm: int) -> None:
    """Settle a grant in full. Its report has a number that is known, so that none of the real ones is taken for it."""
    number = max(site.numbering(answered.device).upto, 1)
    report = Dispensed(number=number, request=answered.command.request, cm=cm)
    told = Reported(site=site.name, device=answered.device, report=report)
    decision = settle(site, told, Moment(answered.at, answered.offset, site.horizon(answered.at)))
    if decision.row is not None and decision.key != PARTITION_KEY:
        site.put(decision.key, decision.row)
