"""What another policy would have answered: every answer of then beside the one on trial, and what that rests on. Pure.

What motors did is known of the answers of then alone. A portion that only the policy on trial grants is taken to have
come out in full, one that it does not grant not to have come out; of another length, what a full one did then.

On the record, who somebody was is what the search said then. That does not tell whom the policy on trial remembers
longer than the site did, nor whose template it was that was not near enough: where that counts nobody can answer.
"""

from collections import defaultdict, deque
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct, structs

from models.contract.face_models import FaceModel
from models.contract.messages import Answer, Dispensed, Forgotten
from models.ledger.decision import Moment
from models.ledger.events import EpochEnded, Reported, SiteConfigured, SiteHeld
from models.ledger.outcomes import Answered
from models.ledger.policy import Policies
from models.ledger.reports import settle
from models.ledger.rows import PARTITION_KEY
from models.ledger.site import Site
from models.replay.recording import Happening, Recording
from models.replay.replay import Known, Replay, Replayed, answered_then
from models.replay.uncertainty import Memories, Windows, granted_cm

__all__ = ["Basis", "Compared", "Trial", "WhatIf"]


class Basis(StrEnum):
    """What an answer on trial rests on."""

    TEMPLATES = "from templates"
    RECORD = "from the record"
    NO_FACE = "without a face"
    NOTHING = "not answerable"
    """the recording does not hold what it depends on"""


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
        self._memories: defaultdict[str, Memories] = defaultdict(Memories)

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
            case SiteHeld(site=site) | EpochEnded(site=site):
                self._memories.pop(site, None)
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
        return replayed, Compared(then, tried, self._basis(site_now, then, tried, replayed))

    def _basis(self, site: Site, then: Answered, tried: Answered, replayed: Replayed) -> Basis:
        if replayed.known is Known.NOTHING:
            return Basis.NO_FACE if replayed.is_proven else Basis.NOTHING
        memories, windows = self._memories[site.name], Windows(self._windows.get(site.name, 0), site.policy.window_ms)
        on_record, visitor = replayed.known is Known.RECORD, tried.visitor or then.visitor
        if on_record:
            memories.meet(site, then, tried, windows)
            if self._may_be_nearer(then):
                memories.mistake(site, visitor, then.at)
        is_taken_apart = on_record and then.identity == "same" != tried.identity
        is_sure = memories.is_sure(site, tried) and not (is_taken_apart and memories.is_vague(then))
        if is_taken_apart:
            memories.blur(site, then.visitor, then.at)
            memories.blur(site, tried.visitor, then.at)
        differs = _said(then.command) != _said(tried.command)
        if not is_sure or (differs and not replayed.is_proven):
            memories.doubt(site, visitor, tried)
        if not is_sure or not replayed.is_proven:
            return Basis.NOTHING
        return Basis.RECORD if on_record else Basis.TEMPLATES

    def _may_be_nearer(self, then: Answered) -> bool:
        """Whether a lower threshold makes somebody new of then the same as somebody; the record does not tell whom."""
        model = (self._trial.models or {}).get(then.model or "")
        return then.identity in ("new", "doubt") and model is not None and model.tells(then.score) == "same"


def _said(command: Answer) -> tuple[str, int]:
    return str(command.__struct_config__.tag), granted_cm(command)


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
