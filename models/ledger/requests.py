"""Requests: who asks, whether a portion fits, and what is written of it."""

from collections.abc import Iterable
from math import ceil
from typing import NamedTuple, assert_never

from msgspec import structs

from models.contract.messages import (
    Answer,
    ButtonPressed,
    Dispense,
    FaceSeen,
    ForgetRequested,
    Forgotten,
    Refuse,
    StaffPressed,
)
from models.ledger.decision import Decision, Moment, unchanged
from models.ledger.events import Recalled, Requested
from models.ledger.outcomes import Answered, By, Identity
from models.ledger.pseudonyms import pseudonym
from models.ledger.rows import (
    DispenserAccount,
    Entry,
    VisitorAccount,
    visitor_key,
    visitor_of,
)
from models.ledger.rules.bounds import MOST_ANSWERS, MOST_FORGOTTEN
from models.ledger.rules.limits import Limit, button_budget, dispenser_limit, quota
from models.ledger.state.site import Site
from models.ledger.state.template_index import Match

__all__ = ["Asked", "answer", "answer_again"]


class Asked(NamedTuple):
    """A request with all that decides it."""

    site: Site
    event: Requested
    moment: Moment


class _Seen(NamedTuple):
    """The result of the search for a face."""

    identity: Identity
    match: Match | None = None

    @property
    def key(self) -> str | None:
        """The account that the face belongs to."""
        return self.match.key if self.match and self.identity == "same" else None


def answer(asked: Asked) -> Decision:
    """Decide a request: the same again if it is known, else by how it was asked."""
    if known := answer_again(asked):
        return unchanged(asked.moment, known)
    match asked.event.request:
        case FaceSeen() as request:
            return _on_face(asked, request)
        case ButtonPressed():
            return _by_button_rule(asked, "button")
        case StaffPressed():
            return _without_identity(asked, "staff", _portion(asked))
        case ForgetRequested() as request:
            return _on_forget(asked, request)
        case unknown:
            assert_never(unknown)


def answer_again(asked: Asked) -> Answered | None:
    """Give the answer that the ledger holds for a request, if it holds one."""
    site, event, moment = asked
    found = site.requests.entry(event.device, event.request.id, moment.horizon)
    if found is None:
        return None
    return _answered(asked, found[1].by, found[1].command, repeated=True)


def _on_face(asked: Asked, request: FaceSeen) -> Decision:
    site = asked.site
    if site.mode != "face":
        return _by_button_rule(asked, "face")
    seen = _recognise(asked, request)
    if seen.identity == "unreadable" or (seen.key is None and site.is_full(asked.moment.horizon)):
        return _by_button_rule(asked, "face", seen)  # also newcomers at a site that remembers as many as it may
    entries = _live_entries(asked, [seen.key] if seen.key else [])
    command = _portion(asked, quota(site, asked.moment, entries), _dispenser_limit(asked))
    if isinstance(command, Refuse):
        return _without_identity(asked, "face", command, seen)
    key = seen.key or _new_key(asked)
    row = structs.replace(
        _visitor_row(asked, request, (*entries, _entry(asked, "face", command))),
        template=request.template,
        sealed=asked.event.sealed,
    )
    return Decision(outcomes=(_answered(asked, "face", command, seen, key),), key=key, row=row)


def _by_button_rule(asked: Asked, by: By, seen: _Seen | None = None) -> Decision:
    """Grant an equal portion without a face and without a wait, from the dispenser's budget."""
    budget = button_budget(asked.site, asked.moment, asked.event.device)
    return _without_identity(asked, by, _portion(asked, budget, _dispenser_limit(asked)), seen)


def _on_forget(asked: Asked, request: ForgetRequested) -> Decision:
    """Erase every matching template in one row, which takes over the grants of all these accounts.

    If the template cannot be read, `forgotten` would be false: no answer, and the dispenser asks again.
    """
    if request.template is None and isinstance(asked.event, Recalled):
        return _without_identity(asked, "forget", Forgotten(request=request.id, erased=asked.event.erased))
    if request.template is None and asked.site.mode == "face":
        return unchanged(asked.moment)
    keys = [match.key for match in _everyone_like(asked, request)]
    command = Forgotten(request=request.id, erased=len(keys))
    if not keys:
        return _without_identity(asked, "forget", command)
    entries, taken = _taken_over(asked, keys)
    outcomes: tuple[Answered, ...] = ()
    if taken == len(keys):
        entries, outcomes = (*entries, _entry(asked, "forget", command)), (_answered(asked, "forget", command),)
    replaces = tuple(asked.site.accounts[key].offset for key in keys[1:taken])
    row = structs.replace(_visitor_row(asked, request, entries), replaces=replaces)
    return Decision(outcomes=outcomes, key=keys[0], row=row)


def _taken_over(asked: Asked, keys: list[str]) -> tuple[tuple[Entry, ...], int]:
    """Return the live entries of as many accounts as one row can hold, and how many accounts these are.

    There is no answer yet where it cannot hold all: the dispenser asks again, and the rest is erased. The receipt
    counts the last of them.
    """
    entries: tuple[Entry, ...] = ()
    for number, key in enumerate(keys):
        more = _live_entries(asked, [key])
        if number and len(entries) + len(more) > MOST_FORGOTTEN:
            return entries, number
        entries += more
    return entries, len(keys)


def _without_identity(asked: Asked, by: By, command: Answer, seen: _Seen | None = None) -> Decision:
    """Write an answer into the dispenser's account: a refusal, or a portion without an identity.

    Answers that count against no limit are remembered up to a number; a repetition of one beyond it is decided again.
    """
    site, event, moment = asked
    answered, entry = _answered(asked, by, command, seen), _entry(asked, by, command)
    if not entry.counts and site.requests.sums(event.device).answers.after(moment.horizon) >= MOST_ANSWERS:
        return unchanged(moment, answered)
    key, entries = site.open_row(event.device, moment.horizon)
    row = DispenserAccount(
        offset=moment.offset, at=moment.at, entries=(*entries, entry), numbering=site.numbering(event.device)
    )
    return Decision(outcomes=(answered,), key=key, row=row)


def _recognise(asked: Asked, request: FaceSeen) -> _Seen:
    """Search the site's live templates; between the thresholds it is someone new, since doubt favours the person.

    A template of another epoch than the site's is neither compared nor kept.
    """
    if request.template is None and isinstance(asked.event, Recalled):
        return _recall(asked.site, asked.event)
    model = asked.site.models.get(request.model)
    if request.template is None or model is None or request.epoch != asked.site.epoch:
        return _Seen("unreadable")
    index = asked.site.templates(request.model, request.epoch)
    match = index.nearest(request.template, asked.moment.horizon) if index else None
    return _Seen(model.classify(match.score if match else None), match)


def _recall(site: Site, event: Recalled) -> _Seen:
    """Return the recorded result. The nearest visitor is recorded for identity `same` only."""
    if event.score is None:
        return _Seen(event.identity)
    known = visitor_key(site.name, event.visitor) if event.visitor else ""
    return _Seen(event.identity, Match(event.score, known))


def _everyone_like(asked: Asked, request: ForgetRequested) -> list[Match]:
    model = asked.site.models.get(request.model)
    if request.template is None or model is None:
        return []
    index = asked.site.templates(request.model, request.epoch)
    return index.within(request.template, asked.moment.horizon, model.same) if index else []


def _dispenser_limit(asked: Asked) -> Limit:
    return dispenser_limit(asked.site, asked.moment, asked.event.device)


def _portion(asked: Asked, *limits: Limit) -> Dispense | Refuse:
    """Grant a portion, unless a limit leaves no room for it; the first such limit names the reason."""
    request_id = asked.event.request.id
    for limit in limits:
        if limit.wait_ms:
            return Refuse(request=request_id, reason=limit.reason, retry_after_s=ceil(limit.wait_ms / 1000))
    return Dispense(request=request_id, cm=asked.site.policy.portion_cm)


def _new_key(asked: Asked) -> str:
    site, event, moment = asked
    if isinstance(event, Recalled) and event.visitor:
        return visitor_key(site.name, event.visitor)
    return visitor_key(site.name, pseudonym(site.secret, event.device, event.request.id, moment.offset))


def _live_entries(asked: Asked, keys: Iterable[str]) -> tuple[Entry, ...]:
    """Return the live entries of accounts. Only a replay may name an account that it never saw."""
    accounts = (asked.site.accounts[key] for key in keys if key in asked.site.accounts)
    entries = (entry for account in accounts for entry in account.entries if isinstance(entry, Entry))
    return tuple(entry for entry in entries if entry.at > asked.moment.horizon)


def _entry(asked: Asked, by: By, command: Answer) -> Entry:
    return Entry(asked.event.device, asked.event.request.id, asked.moment.at, by, command)


def _visitor_row(asked: Asked, request: FaceSeen | ForgetRequested, entries: tuple[Entry, ...]) -> VisitorAccount:
    return VisitorAccount(
        offset=asked.moment.offset,
        at=asked.moment.at,
        model=request.model,
        epoch=request.epoch,
        template=None,
        entries=entries,
    )


def _answered(
    asked: Asked,
    by: By,
    command: Answer,
    seen: _Seen | None = None,
    key: str | None = None,
    *,
    repeated: bool = False,
) -> Answered:
    site, event, moment = asked
    key = key or (seen.key if seen else None)
    return Answered(
        site=site.name,
        device=event.device,
        offset=moment.offset,
        at=moment.at,
        by=by,
        command=command,
        expires_at=None if event.patience_s is None else moment.at + 1000 * event.patience_s,
        repeated=repeated,
        identity=seen.identity if seen else None,
        visitor=visitor_of(key) if key else None,
        score=seen.match.score if seen and seen.match else None,
        model=event.request.model if isinstance(event.request, FaceSeen | ForgetRequested) else None,
    )
