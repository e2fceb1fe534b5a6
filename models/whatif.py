"""What another policy would have answered: every answer of then beside the one on trial, and what that rests on. Pure.

What motors did is known of the answers of then alone. A portion that only the policy on trial grants is taken to have
come out in full, one that it does not grant not to have come out; of another length, what a full one did then.

On the record, who somebody was is what the search said then. That does not tell of whom the policy on trial remembers
longer than the site did, nor whose template it was that was not near enough: such answers are not answerable.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct, structs

from models.accounts import PARTITION_KEY
from models.decision import Moment
from models.events import EpochEnded, Reported, SiteConfigured, SiteHeld
from models.face_models import FaceModel
from models.messages import Answer, Dispense, Dispensed, Forgotten
from models.outcomes import Answered
from models.policy import Policies
from models.recording import Happening, Recording
from models.replaying import Known, Replay, Replayed, answered_then
from models.settling import settle
from models.site import Site

__all__ = ["Basis", "Compared", "Trial", "WhatIf", "granted_cm"]


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
        self._memories: defaultdict[str, _Memories] = defaultdict(_Memories)

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
        windows = _Windows(self._windows.get(site.name, 0), site.policy.window_ms)
        on_record, models = replayed.known is Known.RECORD, self._trial.models or {}
        memories = self._memories[site.name]
        is_hidden = on_record and memories.may_hide(then, models)
        is_blurred = memories.is_blurred(then, tried)
        if on_record:
            memories.remember(then, tried, windows)
        is_other_person = then.identity == "same" != tried.identity
        differs = _said(then.command) != _said(tried.command)
        if is_hidden or is_other_person or (differs and not replayed.is_proven):
            memories.blur(then, tried, windows)
        if is_hidden or is_blurred or not replayed.is_proven:
            return Basis.NOTHING
        return Basis.RECORD if on_record else Basis.TEMPLATES


def granted_cm(command: Answer) -> int:
    """What an answer grants; 0 for a refusal."""
    return command.cm if isinstance(command, Dispense) else 0


def _said(command: Answer) -> tuple[str, int]:
    return str(command.__struct_config__.tag), granted_cm(command)


class _Windows(NamedTuple):
    """How long a grant counted then, and how long it does on trial; milliseconds."""

    then_ms: int
    tried_ms: int


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


class _Memories:
    """Whom a site remembered then and would remember on trial, as pseudonyms and times."""

    def __init__(self) -> None:
        self._until: dict[str, _Windows] = {}
        """of each visitor: up to when the site knew them then, and up to when it would"""
        self._ends: list[tuple[int, str]] = []
        """a heap of the first of these"""
        self._hidden_until = 0
        self._blurred: dict[str, int] = {}
        """up to when it is not sure what counts for a visitor; the oldest first"""

    def may_hide(self, then: Answered, models: Mapping[str, FaceModel]) -> bool:
        """Whether somebody new of then might be known on trial; the record does not tell as whom."""
        while self._ends and self._ends[0][0] <= then.at:
            ended, visitor = heapq.heappop(self._ends)
            if (until := self._until.get(visitor)) and until.then_ms == ended:
                self._hidden_until = max(self._hidden_until, until.tried_ms)
                del self._until[visitor]
        if then.identity not in ("new", "doubt"):
            return False
        model = models.get(then.model or "")
        return then.at < self._hidden_until or (model is not None and model.tells(then.score) == "same")

    def remember(self, then: Answered, tried: Answered, windows: _Windows) -> None:
        """Take in whose template was kept then, and whose would have been."""
        visitor = tried.visitor or then.visitor
        if visitor is None or not (granted_cm(then.command) or granted_cm(tried.command)):
            return
        known = self._until.get(visitor, _Windows(then.at, then.at))
        until = _Windows(
            then.at + windows.then_ms if granted_cm(then.command) else known.then_ms,
            then.at + windows.tried_ms if granted_cm(tried.command) else known.tried_ms,
        )
        self._until[visitor] = until
        heapq.heappush(self._ends, (until.then_ms, visitor))

    def is_blurred(self, then: Answered, tried: Answered) -> bool:
        visitors = filter(None, (then.visitor, tried.visitor))
        return any(self._blurred.get(visitor, 0) > then.at for visitor in visitors)

    def blur(self, then: Answered, tried: Answered, windows: _Windows) -> None:
        """For a window it is not sure what counts for these two. What is not sure for that alone blurs nobody."""
        while self._blurred and next(iter(self._blurred.values())) <= then.at:
            del self._blurred[next(iter(self._blurred))]
        for visitor in filter(None, (then.visitor, tried.visitor)):
            self._blurred.pop(visitor, None)
            self._blurred[visitor] = then.at + windows.tried_ms
