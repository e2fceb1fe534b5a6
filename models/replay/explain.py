"""Why a request was answered so: the ledger before and after, the limits, the policy, the score. No biometric."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Final

from msgspec import Struct

from models.contract.face_models import FACE_MODELS
from models.contract.messages import Declined, Dispensed, LocalRation, Mode
from models.ledger.events import Reported, Requested
from models.ledger.outcomes import Answered, By
from models.ledger.quota import Charge, counting
from models.ledger.rows import Account, DispenserAccount, Entry, device_of, visitor_key
from models.ledger.site import Site
from models.replay.recording import Happening
from models.replay.replay import Known, Likeness, Replay, Replayed

__all__ = ["Explanation", "FaceFound", "Limit", "Line", "Motor", "explain", "reported"]

_LIMITS: Final = {"visitor": "limit_cm", "button": "button_budget_cm", "dispenser": "dispenser_limit_cm"}


class Line(Struct, frozen=True, kw_only=True):
    """A request in an account."""

    at: int
    """milliseconds since 1970"""
    device: str
    request: str
    by: By
    granted_cm: int
    came_cm: int | None
    """what reports told by then; None: nothing"""
    counts_cm: int
    """what of it counts"""


class Limit(Struct, frozen=True, kw_only=True):
    """A limit that was looked at, and what counted against it before this request."""

    name: str
    """in the policy"""
    cm: int
    counted_cm: int
    has_room: bool
    """for a portion"""


class FaceFound(Struct, frozen=True, kw_only=True):
    """What the search said: equal bits with the nearest live template, of 512, and what they mean."""

    identity: str
    visitor: str | None
    score: int | None
    same: int | None
    """at or above: the same visitor"""
    doubt: int | None
    """at or above, and below `same`: someone new, counted as doubt"""
    model: str
    known: Known


class Motor(Struct, frozen=True, kw_only=True):
    """What a dispenser reported of a request."""

    at: int
    """when the report came, milliseconds since 1970"""
    device: str
    what: str
    cm: int
    why: str


class Explanation(Struct, frozen=True, kw_only=True):
    """A request and all that decided it."""

    partition: int
    offset: int
    at: int
    """milliseconds since 1970"""
    site: str
    mode: Mode
    device: str
    request: str
    answered: Answered | None
    """None: it got no answer"""
    face: FaceFound | None
    limits: tuple[Limit, ...]
    before: tuple[Line, ...]
    """what counted of the visitor; of the dispenser's portions without a face, where nobody was known"""
    after: tuple[Line, ...]
    policy: dict[str, int]
    """the lines of the policy that took part"""
    policy_version: str
    likeness: Likeness
    is_proven: bool


class _Books:
    """A site as one moment sees it; what reports told stays the same while a request is decided."""

    def __init__(self, site: Site, at: int) -> None:
        self._site = site
        self._at = at
        self._horizon = site.horizon(at)
        self._accounts: Mapping[str, Account] = dict(site.accounts)

    def cm(self, charges: Iterable[Charge]) -> int:
        return sum(charge.cm for charge in counting(charges, now=self._at, horizon=self._horizon))

    def of(self, visitor: str | None, device: str) -> tuple[Line, ...]:
        """The live entries of a visitor, or of what a dispenser gave without a face."""
        if visitor:
            account = self._accounts.get(visitor_key(self._site.name, visitor))
            found = account.entries if account else ()
        else:
            rows = self._accounts.items()
            own = (row for key, row in rows if isinstance(row, DispenserAccount) and device_of(key) == device)
            found = tuple(chain.from_iterable(row.entries for row in own))
        entries = (entry for entry in found if isinstance(entry, Entry) and entry.at > self._horizon)
        return tuple(self._line(entry) for entry in entries if visitor or entry.granted_cm)

    def faceless(self, device: str) -> int:
        return self.cm(self._site.faceless(device, self._horizon))

    def dispensed(self, device: str) -> int:
        return self.cm(self._site.dispensed(device, self._horizon))

    def _line(self, entry: Entry) -> Line:
        told = self._site.settlement(entry.device, entry.id, self._horizon)
        return Line(
            at=entry.at,
            device=entry.device,
            request=entry.id,
            by=entry.by,
            granted_cm=entry.granted_cm,
            came_cm=told[1].cm if told else None,
            counts_cm=self.cm(self._site.charges([entry], self._horizon)),
        )


def explain(replay: Replay, happening: Happening, event: Requested) -> Explanation:
    """Fold a request, which is what happens, and tell why it is answered so."""
    site = replay.site(happening) or Site(event.site, b"")
    before = _Books(site, happening.at)
    counted = {"button": before.faceless(event.device), "dispenser": before.dispensed(event.device)}
    replayed = replay.fold(happening)
    answered = next((outcome for outcome in replayed.outcomes if isinstance(outcome, Answered)), None)
    site = replay.site(happening) or site
    visitor = answered.visitor if answered else None
    lines = before.of(visitor, event.device)
    counted["visitor"] = sum(line.counts_cm for line in lines) if visitor else 0
    limits = tuple(_limit(site, name, counted[name]) for name in _looked_at(answered))
    return Explanation(
        partition=happening.partition,
        offset=happening.offset,
        at=happening.at,
        site=event.site,
        mode=site.mode,
        device=event.device,
        request=event.request.id,
        answered=answered,
        face=_face(answered, replayed),
        limits=limits,
        before=lines,
        after=_Books(site, happening.at).of(visitor, event.device),
        policy={name: getattr(site.policy, name) for name in ("portion_cm", "window_s", *(one.name for one in limits))},
        policy_version=site.policy.version,
        likeness=replayed.likeness,
        is_proven=replayed.is_proven,
    )


def reported(happening: Happening, request: str) -> Motor | None:
    """What happens, if it is a report on that request."""
    match happening.event:
        case Reported(device=device, report=(Dispensed() | LocalRation() | Declined()) as report) if (
            report.request == request
        ):
            cm, why = (0, report.reason) if isinstance(report, Declined) else (report.cm, report.fault or "")
            what = str(report.__struct_config__.tag)
            return Motor(at=happening.at, device=device, what=what, cm=cm, why=why)
        case _:
            return None


def _looked_at(answered: Answered | None) -> tuple[str, ...]:
    """The limits that such an answer depends on, in the order in which the fold looks at them."""
    if answered is None or answered.repeated or answered.by in ("staff", "forget"):
        return ()
    by_face = answered.by == "face" and answered.identity not in (None, "unreadable")
    return ("visitor" if by_face else "button", "dispenser")


def _limit(site: Site, name: str, counted_cm: int) -> Limit:
    cm: int = getattr(site.policy, _LIMITS[name])
    has_room = counted_cm + site.policy.portion_cm <= cm
    return Limit(name=_LIMITS[name], cm=cm, counted_cm=counted_cm, has_room=has_room)


def _face(answered: Answered | None, replayed: Replayed) -> FaceFound | None:
    if answered is None or answered.identity is None or answered.model is None:
        return None
    model = FACE_MODELS.get(answered.model)
    return FaceFound(
        identity=answered.identity,
        visitor=answered.visitor,
        score=answered.score,
        same=model.same if model else None,
        doubt=model.doubt if model else None,
        model=answered.model,
        known=replayed.known,
    )
