"""Requests: identify the visitor, check the limits, and return the decision with its row."""

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

__all__ = ["RequestContext", "answer", "answer_again"]


class RequestContext(NamedTuple):
    """A request with everything that its decision depends on."""

    site: Site
    event: Requested
    moment: Moment


class _Seen(NamedTuple):
    """The result of the search for a face."""

    identity: Identity
    match: Match | None = None
    crowd: int | None = None
    """live templates that it was compared with"""
    threshold: int | None = None

    @property
    def key(self) -> str | None:
        """The account that the face belongs to."""
        return self.match.key if self.match and self.identity == "same" else None


def answer(context: RequestContext) -> Decision:
    """Decide a request by its kind; a known one gets its answer again."""
    if known := answer_again(context):
        return unchanged(context.moment, known)
    match context.event.request:
        case FaceSeen() as request:
            return _on_face(context, request)
        case ButtonPressed():
            return _by_button_rule(context, "button")
        case StaffPressed():
            return _without_identity(context, "staff", _portion(context))
        case ForgetRequested() as request:
            return _on_forget(context, request)
        case unknown:
            assert_never(unknown)


def answer_again(context: RequestContext) -> Answered | None:
    """Return the answer that the ledger has for a request, if any."""
    site, event, moment = context
    found = site.requests.entry(event.device, event.request.id, moment.horizon)
    if found is None:
        return None
    return _answered(context, found[1].by, found[1].command, repeated=True)


def _on_face(context: RequestContext, request: FaceSeen) -> Decision:
    site = context.site
    if site.mode != "face":
        return _by_button_rule(context, "face")
    seen = _recognise(context, request)
    if seen.identity == "unreadable" or (seen.key is None and not _takes_newcomers(context, request, seen)):
        return _by_button_rule(context, "face", seen)  # also newcomers at a site that remembers as many as it may
    entries = _live_entries(context, [seen.key] if seen.key else [])
    command = _portion(context, quota(site, context.moment, entries), _dispenser_limit(context))
    if isinstance(command, Refuse):
        return _without_identity(context, "face", command, seen)
    key = seen.key or _new_key(context)
    row = structs.replace(
        _visitor_row(context, request, (*entries, _entry(context, "face", command))),
        template=request.template,
        sealed=context.event.sealed,
    )
    return Decision(outcomes=(_answered(context, "face", command, seen, key),), key=key, row=row)


def _by_button_rule(context: RequestContext, by: By, seen: _Seen | None = None) -> Decision:
    """Grant an equal portion without a face, from the budget of the dispenser."""
    budget = button_budget(context.site, context.moment, context.event.device)
    return _without_identity(context, by, _portion(context, budget, _dispenser_limit(context)), seen)


def _on_forget(context: RequestContext, request: ForgetRequested) -> Decision:
    """Erase every template that could match even in the smallest crowd.

    One row erases them and takes over the grants of all these accounts.

    If the template cannot be read, `forgotten` would be wrong: there is no answer, and the dispenser asks again.
    """
    if request.template is None and isinstance(context.event, Recalled):
        return _without_identity(context, "forget", Forgotten(request=request.id, erased=context.event.erased))
    if request.template is None and context.site.mode == "face":
        return unchanged(context.moment)
    keys = [match.key for match in _everyone_like(context, request)]
    command = Forgotten(request=request.id, erased=len(keys))
    if not keys:
        return _without_identity(context, "forget", command)
    entries, taken = _taken_over(context, keys)
    outcomes: tuple[Answered, ...] = ()
    if taken == len(keys):
        entries, outcomes = (*entries, _entry(context, "forget", command)), (_answered(context, "forget", command),)
    replaces = tuple(context.site.accounts[key].offset for key in keys[1:taken])
    row = structs.replace(_visitor_row(context, request, entries), replaces=replaces)
    return Decision(outcomes=outcomes, key=keys[0], row=row)


def _taken_over(context: RequestContext, keys: list[str]) -> tuple[tuple[Entry, ...], int]:
    """Return the live entries of as many accounts as fit into one row, and the number of these accounts.

    If not all fit, there is no answer yet: the dispenser asks again, and the rest is erased. The receipt
    counts the last part.
    """
    entries: tuple[Entry, ...] = ()
    for number, key in enumerate(keys):
        more = _live_entries(context, [key])
        if number and len(entries) + len(more) > MOST_FORGOTTEN:
            return entries, number
        entries += more
    return entries, len(keys)


def _without_identity(context: RequestContext, by: By, command: Answer, seen: _Seen | None = None) -> Decision:
    """Write an answer to the dispenser's account: a refusal, or a portion without an identity.

    Answers that count against no limit are remembered up to a bound; a repetition beyond it is decided again.
    """
    site, event, moment = context
    answered, entry = _answered(context, by, command, seen), _entry(context, by, command)
    if not entry.counts and site.requests.sums(event.device).answers.after(moment.horizon) >= MOST_ANSWERS:
        return unchanged(moment, answered)
    key, entries = site.open_row(event.device, moment.horizon)
    row = DispenserAccount(
        offset=moment.offset, at=moment.at, entries=(*entries, entry), numbering=site.numbering(event.device)
    )
    return Decision(outcomes=(answered,), key=key, row=row)


def _takes_newcomers(context: RequestContext, request: FaceSeen, seen: _Seen) -> bool:
    """Whether the site may remember one more: by its policy's number, and by the model's curve for a larger crowd.

    Where the curve has no threshold for one more, keeping a template would make refusals more wrongful than the target.
    """
    site, model = context.site, context.site.models.get(request.model)
    if site.is_full(context.moment.horizon):
        return False
    return model is None or site.threshold(model, (seen.crowd or 0) + 1) is not None


def _recognise(context: RequestContext, request: FaceSeen) -> _Seen:
    """Search the site's live templates, at the threshold for so many; in doubt it is someone new, in their favour.

    A template of another epoch than the site's is neither compared nor kept.
    """
    if request.template is None and isinstance(context.event, Recalled):
        return _recall(context.site, context.event)
    model = context.site.models.get(request.model)
    if request.template is None or model is None or request.epoch != context.site.epoch:
        return _Seen("unreadable")
    index = context.site.templates(request.model, request.epoch)
    match = index.nearest(request.template, context.moment.horizon) if index else None
    crowd = index.count(context.moment.horizon) if index else 0
    point = context.site.threshold(model, crowd)
    return _Seen(model.classify(match.score if match else None, point), match, crowd, point.score if point else None)


def _recall(site: Site, event: Recalled) -> _Seen:
    """Return the recorded result. The nearest visitor is recorded for identity `same` only."""
    if event.score is None:
        return _Seen(event.identity, None, event.crowd, event.threshold)
    known = visitor_key(site.name, event.visitor) if event.visitor else ""
    return _Seen(event.identity, Match(event.score, known), event.crowd, event.threshold)


def _everyone_like(context: RequestContext, request: ForgetRequested) -> list[Match]:
    model = context.site.models.get(request.model)
    if request.template is None or model is None:
        return []
    index = context.site.templates(request.model, request.epoch)
    return index.within(request.template, context.moment.horizon, model.least_threshold) if index else []


def _dispenser_limit(context: RequestContext) -> Limit:
    return dispenser_limit(context.site, context.moment, context.event.device)


def _portion(context: RequestContext, *limits: Limit) -> Dispense | Refuse:
    """Grant a portion, unless a limit leaves no room for it; the first such limit names the reason."""
    request_id = context.event.request.id
    for limit in limits:
        if limit.wait_ms:
            return Refuse(request=request_id, reason=limit.reason, retry_after_s=ceil(limit.wait_ms / 1000))
    return Dispense(request=request_id, cm=context.site.policy.portion_cm)


def _new_key(context: RequestContext) -> str:
    site, event, moment = context
    if isinstance(event, Recalled) and event.visitor:
        return visitor_key(site.name, event.visitor)
    return visitor_key(site.name, pseudonym(site.secret, event.device, event.request.id, moment.offset))


def _live_entries(context: RequestContext, keys: Iterable[str]) -> tuple[Entry, ...]:
    """Return the live entries of accounts. Only a replay may name an account that it never saw."""
    accounts = (context.site.accounts[key] for key in keys if key in context.site.accounts)
    entries = (entry for account in accounts for entry in account.entries if isinstance(entry, Entry))
    return tuple(entry for entry in entries if entry.at > context.moment.horizon)


def _entry(context: RequestContext, by: By, command: Answer) -> Entry:
    return Entry(context.event.device, context.event.request.id, context.moment.at, by, command)


def _visitor_row(
    context: RequestContext, request: FaceSeen | ForgetRequested, entries: tuple[Entry, ...]
) -> VisitorAccount:
    return VisitorAccount(
        offset=context.moment.offset,
        at=context.moment.at,
        model=request.model,
        epoch=request.epoch,
        template=None,
        entries=entries,
    )


def _answered(
    context: RequestContext,
    by: By,
    command: Answer,
    seen: _Seen | None = None,
    key: str | None = None,
    *,
    repeated: bool = False,
) -> Answered:
    site, event, moment = context
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
        crowd=seen.crowd if seen else None,
        threshold=seen.threshold if seen else None,
        model=event.request.model if isinstance(event.request, FaceSeen | ForgetRequested) else None,
    )
