"""Why a request got its answer: ledger before and after, limits, policy, score. Nothing biometric. Pure."""

from collections.abc import Mapping
from itertools import chain
from typing import Final

from msgspec import Struct

from models.contract.face_models import FACE_MODELS, MILLION
from models.contract.messages import Declined, Dispensed, LocalRation, Mode
from models.ledger.events import Reported, Requested
from models.ledger.outcomes import Answered, By
from models.ledger.rows import Account, DispenserAccount, Entry, device_of, visitor_key
from models.ledger.rules.quota import counting
from models.ledger.state.site import Site
from models.replay.recording import RecordedEvent
from models.replay.replay import Comparison, IdentitySource, Replay, Replayed

__all__ = ["Explanation", "FaceFound", "Limit", "Line", "MotorReport", "explain", "motor_report"]

_LIMITS: Final = {"visitor": "limit_cm", "button": "button_budget_cm", "dispenser": "dispenser_limit_cm"}


class Line(Struct, frozen=True, kw_only=True):
    """A request as a line of an account."""

    at: int
    """milliseconds since 1970"""
    device: str
    request: str
    by: By
    granted_cm: int
    dispensed_cm: int | None
    """as reported by then; None: no report"""
    counts_cm: int
    """what counts against the limit"""


class Limit(Struct, frozen=True, kw_only=True):
    """A limit that was checked, and what counted against it before this request."""

    name: str
    """field of the policy"""
    cm: int
    counted_cm: int
    has_room: bool
    """for a portion"""


class FaceFound(Struct, frozen=True, kw_only=True):
    """The result of the search: equal bits with the nearest live template, and their meaning in this crowd."""

    identity: str
    visitor: str | None
    score: int | None
    bits: int | None
    """of a template of the model"""
    crowd: int | None
    """live templates that it was compared with"""
    same: int | None
    """threshold for this crowd: at or above it, the same visitor; None: the model has none for it"""
    doubt: int | None
    """threshold: from it up to `same`, a new visitor, counted as doubt"""
    wrongful_per_million: float | None
    """upper bound of the newcomers, of a million, that are expected to match a visitor of this crowd"""
    missed: float | None
    """share of those who return that is expected not to be recognised at this threshold"""
    is_measured: bool
    """whether the threshold lies where the model's false matches are bounds from data"""
    model: str
    identity_source: IdentitySource


class MotorReport(Struct, frozen=True, kw_only=True):
    """A dispenser's report on a request."""

    at: int
    """append time of the report, milliseconds since 1970"""
    device: str
    what: str
    cm: int
    why: str


class Explanation(Struct, frozen=True, kw_only=True):
    """A request and everything that decided it."""

    partition: int
    offset: int
    at: int
    """milliseconds since 1970"""
    site: str
    mode: Mode
    device: str
    request: str
    answered: Answered | None
    """None: no answer"""
    face: FaceFound | None
    limits: tuple[Limit, ...]
    before: tuple[Line, ...]
    """the visitor's account; without an identity, the dispenser's portions by button"""
    after: tuple[Line, ...]
    policy: dict[str, int]
    """the fields of the policy that were used"""
    policy_version: str
    comparison: Comparison
    is_proven: bool


class _Accounts:
    """A site's accounts at one moment."""

    def __init__(self, site: Site, at: int) -> None:
        self._site = site
        self._at = at
        self._horizon = site.horizon(at)
        self._accounts: Mapping[str, Account] = dict(site.accounts)

    def of(self, visitor: str | None, device: str) -> tuple[Line, ...]:
        """Return the live entries of a visitor, or of a dispenser's portions without an identity."""
        if visitor:
            account = self._accounts.get(visitor_key(self._site.name, visitor))
            found = account.entries if account else ()
        else:
            rows = self._accounts.items()
            own = (row for key, row in rows if isinstance(row, DispenserAccount) and device_of(key) == device)
            found = tuple(chain.from_iterable(row.entries for row in own))
        entries = (entry for entry in found if isinstance(entry, Entry) and entry.at > self._horizon)
        counts = self._of_visitor if visitor else _of_dispenser
        return tuple(self._line(entry, counts(entry)) for entry in entries if visitor or entry.granted_cm)

    def faceless(self, device: str) -> int:
        return self._site.requests.sums(device).buttons.after(self._horizon)

    def dispensed(self, device: str) -> int:
        return self._site.requests.sums(device).given.after(self._horizon)

    def _of_visitor(self, entry: Entry) -> int:
        charges = self._site.charges((entry,), self._horizon)
        return sum(charge.cm for charge in counting(charges, now=self._at, horizon=self._horizon))

    def _line(self, entry: Entry, counts_cm: int) -> Line:
        settled = self._site.requests.settlement(entry.device, entry.id, self._horizon)
        return Line(
            at=entry.at,
            device=entry.device,
            request=entry.id,
            by=entry.by,
            granted_cm=entry.granted_cm,
            dispensed_cm=settled[1].cm if settled else None,
            counts_cm=counts_cm,
        )


def _of_dispenser(entry: Entry) -> int:
    """Return what a grant counts against its dispenser's limits, whatever was dispensed."""
    return entry.granted_cm if entry.counts else 0


def explain(replay: Replay, recorded: RecordedEvent, event: Requested) -> Explanation:
    """Fold the recorded request and explain its answer."""
    site = replay.site(recorded) or Site(event.site, b"")
    before = _Accounts(site, recorded.at)
    counted = {"button": before.faceless(event.device), "dispenser": before.dispensed(event.device)}
    is_full = site.is_full(site.horizon(recorded.at))
    replayed = replay.fold(recorded)
    answered = next((outcome for outcome in replayed.outcomes if isinstance(outcome, Answered)), None)
    site = replay.site(recorded) or site
    is_full = is_full or _is_beyond_curve(site, answered)
    visitor = answered.visitor if answered else None
    lines = before.of(visitor, event.device)
    counted["visitor"] = sum(line.counts_cm for line in lines) if visitor else 0
    limits = tuple(_limit(site, name, counted[name]) for name in _checked_limits(answered, is_full=is_full))
    return Explanation(
        partition=recorded.partition,
        offset=recorded.offset,
        at=recorded.at,
        site=event.site,
        mode=site.mode,
        device=event.device,
        request=event.request.id,
        answered=answered,
        face=_face(answered, replayed),
        limits=limits,
        before=lines,
        after=_Accounts(site, recorded.at).of(visitor, event.device),
        policy={name: getattr(site.policy, name) for name in ("portion_cm", "window_s", *(one.name for one in limits))},
        policy_version=site.policy.version,
        comparison=replayed.comparison,
        is_proven=replayed.is_proven,
    )


def motor_report(recorded: RecordedEvent, request: str) -> MotorReport | None:
    """Return the recorded event as a report on that request, if it is one."""
    match recorded.event:
        case Reported(device=device, report=(Dispensed() | LocalRation() | Declined()) as report) if (
            report.request == request
        ):
            cm, why = (0, report.reason) if isinstance(report, Declined) else (report.cm, report.fault or "")
            what = str(report.__struct_config__.tag)
            return MotorReport(at=recorded.at, device=device, what=what, cm=cm, why=why)
        case _:
            return None


def _checked_limits(answered: Answered | None, *, is_full: bool) -> tuple[str, ...]:
    """Return the limits that such an answer depends on, in the order in which the fold checks them."""
    if answered is None or answered.repeated or answered.by in ("staff", "forget"):
        return ()
    is_known = answered.identity == "same" or (answered.identity in ("new", "doubt") and not is_full)
    by_face = answered.by == "face" and is_known
    return ("visitor" if by_face else "button", "dispenser")


def _is_beyond_curve(site: Site, answered: Answered | None) -> bool:
    """Whether the model has no threshold for one live template more."""
    model = site.models.get(answered.model or "") if answered else None
    return model is not None and answered is not None and site.threshold(model, (answered.crowd or 0) + 1) is None


def _limit(site: Site, name: str, counted_cm: int) -> Limit:
    cm: int = getattr(site.policy, _LIMITS[name])
    has_room = counted_cm + site.policy.portion_cm <= cm
    return Limit(name=_LIMITS[name], cm=cm, counted_cm=counted_cm, has_room=has_room)


def _face(answered: Answered | None, replayed: Replayed) -> FaceFound | None:
    if answered is None or answered.identity is None or answered.model is None:
        return None
    model = FACE_MODELS.get(answered.model)
    point = model.at(answered.threshold) if model else None
    return FaceFound(
        identity=answered.identity,
        visitor=answered.visitor,
        score=answered.score,
        bits=model.bits if model else None,
        crowd=answered.crowd,
        same=answered.threshold,
        doubt=model.doubt if model else None,
        wrongful_per_million=(answered.crowd or 0) * point.false_match / MILLION if point else None,
        missed=point.missed if point else None,
        is_measured=model is not None and point is not None and point.score <= model.measured_to,
        model=answered.model,
        identity_source=replayed.identity_source,
    )
