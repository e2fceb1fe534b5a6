"""The one pure fold of events into decisions. No clock, no randomness, no I/O.

`decide` reads a site and returns the outcomes and the row to write; it changes nothing. The live decider,
replay, what-if and the property tests all call it.
"""

from typing import Final, TypeVar, assert_never

from msgspec import structs

from models.contract.messages import Control, Revision
from models.ledger.decision import Decision, Moment, unchanged
from models.ledger.events import (
    EpochEnded,
    Reported,
    Requested,
    SiteConfigured,
    SiteEvent,
    SiteHeld,
    SiteRemoved,
    SiteResumed,
)
from models.ledger.outcomes import ControlChanged, EpochBegan, Held, Receipt, Removed, Resumed, SiteRegistered
from models.ledger.reports import settle
from models.ledger.requests import RequestContext, answer
from models.ledger.rows import SiteRow, site_key
from models.ledger.rules.policy import Policy
from models.ledger.rules.registry import RegisteredSite
from models.ledger.state.site import Site

__all__ = ["decide", "site_changed"]

_Erasing = TypeVar("_Erasing", Held, Removed)
_NEW: Final = SiteRow(offset=-1, at=0, mode="button", policy=Policy(), floor=0)


def decide(site: Site, event: SiteEvent, *, at: int, offset: int) -> Decision:
    """Decide an event of a site at the partition's time `at`, milliseconds since 1970.

    The policy is the site's own, from its last SiteConfigured. An event that was decided before gets the
    same answer again and is not charged again.
    """
    moment = Moment(at, offset, site.horizon(at))
    match event:
        case Requested():
            return answer(RequestContext(site, event, moment))
        case Reported():
            return settle(site, event, moment)
        case SiteConfigured():
            return _configure(site, event, moment)
        case SiteRemoved():
            return _remove(site, event, moment)
        case SiteHeld():
            return _hold(site, event, moment)
        case SiteResumed():
            return _resume(site, event, moment)
        case EpochEnded():
            return _end_epoch(site, event, moment)
        case _:
            assert_never(event)


def _configure(site: Site, event: SiteConfigured, moment: Moment) -> Decision:
    """Apply settings. A held site stays held; leaving face mode voids visitors' accounts immediately."""
    mode = "button" if event.placement == "inside" or event.minors else event.mode
    row = structs.replace(
        _settings(site, moment),
        mode=mode,
        placement=event.placement,
        sign=event.sign,
        devices=event.devices,
        minors=event.minors,
        simulated=event.simulated,
        policy=event.policy,
        floor=moment.horizon,
    )
    return _changed(site, row if mode == "face" else structs.replace(row, erased=moment.offset))


def _remove(site: Site, event: SiteRemoved, moment: Moment) -> Decision:
    """One row makes all that is remembered of visitors void, and marks the site; the next tick removes its rows."""
    row = structs.replace(_settings(site, moment), mode="button", held=False, erased=moment.offset, removed=True)
    return _changed(site, row, _erasing(Removed, site, event, moment))


def _hold(site: Site, event: SiteHeld, moment: Moment) -> Decision:
    """Void all visitors' accounts by one row; the key holder destroys the keys.

    A site that was removed, or never configured, is held too: it has no dispensers then.
    """
    row = structs.replace(_settings(site, moment), held=True, erased=moment.offset)
    return _changed(site, row, _erasing(Held, site, event, moment))


def _erasing(kind: type[_Erasing], site: Site, event: SiteHeld | SiteRemoved, moment: Moment) -> _Erasing:
    """Return the receipt of what is erased."""
    oldest = site.oldest_template(moment.horizon)
    return kind(
        site=site.name,
        offset=moment.offset,
        at=moment.at,
        templates=site.count_templates(moment.horizon),
        accounts=site.count_visitors(moment.horizon),
        oldest_s=0.0 if oldest is None else (moment.at - oldest) / 1000,
        why=event.why,
        by=event.by,
    )


def _resume(site: Site, event: SiteResumed, moment: Moment) -> Decision:
    """End a hold; at a site that is not served there is none, so the receipt is all."""
    row = structs.replace(_settings(site, moment), held=False)
    receipt = Resumed(site=site.name, offset=moment.offset, at=moment.at, mode=row.mode, why=event.why, by=event.by)
    return _changed(site, row, receipt) if site.is_served else unchanged(moment, receipt)


def _end_epoch(site: Site, event: EpochEnded, moment: Moment) -> Decision:
    """End the epoch: its templates match nothing any more, so visitors' accounts are void."""
    row = _settings(site, moment)
    if not site.is_served or event.epoch != row.epoch:
        return unchanged(moment)
    receipt = EpochBegan(
        site=site.name,
        offset=moment.offset,
        at=moment.at,
        epoch=row.epoch + 1,
        templates=site.count_templates(moment.horizon),
        accounts=site.count_visitors(moment.horizon),
    )
    row = structs.replace(row, epoch=row.epoch + 1, epoch_at=moment.at, erased=moment.offset)
    return _changed(site, row, receipt)


def _settings(site: Site, moment: Moment) -> SiteRow:
    """The site's row as this event finds it, with the offset, the time and the revision that the event gives it.

    A revision is higher than the one before it even where the partition's time was set back. A site that was removed
    begins as a new one; what was erased of it stays void until a tick has removed it.
    """
    known = site.settings or _NEW
    revision = Revision(max(moment.at, known.revision.at), moment.offset)
    if not site.is_served:
        known = structs.replace(_NEW, floor=moment.horizon, epoch_at=moment.at, erased=known.erased)
    return structs.replace(known, offset=moment.offset, at=moment.at, revision=revision)


def _changed(site: Site, row: SiteRow, *receipts: Receipt) -> Decision:
    return Decision(outcomes=(*site_changed(site.name, row), *receipts), key=site_key(site.name), row=row)


def site_changed(site: str, row: SiteRow) -> tuple[ControlChanged, SiteRegistered]:
    """Return what is published of a site's row: its control and its registration, or that both are withdrawn."""
    control = None if row.removed else _control(site, row)
    registered = None if row.removed else RegisteredSite(site=site, revision=row.revision, spec=row.spec)
    return (
        ControlChanged(site=site, offset=row.offset, at=row.at, control=control, revision=row.revision),
        SiteRegistered(site=site, offset=row.offset, at=row.at, registered=registered, revision=row.revision),
    )


def _control(site: str, row: SiteRow) -> Control:
    policy = row.policy
    return Control(
        site=site,
        mode="held" if row.held else row.mode,
        revision=row.revision,
        policy=policy.version,
        epoch=row.epoch,
        ration_cm=policy.portion_cm,
        ration_budget_cm=policy.ration_budget_cm,
        window_s=policy.window_s,
        placement=row.placement,
        sign=row.sign,
    )
