"""Reports: a grant reserves, what the motor really did settles it."""

from typing import NamedTuple, assert_never

from models.contract.messages import Battery, Declined, Dispensed, LocalRation, Noted, Stock
from models.ledger.decision import Decision, Moment
from models.ledger.events import Reported, UnreadableReport
from models.ledger.outcomes import ReportKept
from models.ledger.policy import Shortfall
from models.ledger.rows import PARTITION_KEY, DispenserAccount, PartitionRow, Settlement
from models.ledger.site import Remembered, Site

__all__ = ["kept_again", "settle"]

_MotorReport = Dispensed | LocalRation | Declined


class _Told(NamedTuple):
    """What a report newly tells."""

    settlement: Settlement | None
    """None where no account changes"""
    cm: int
    """what came out that nobody had told before"""


def settle(site: Site, event: Reported, moment: Moment) -> Decision:
    """Settle a report in its dispenser's rows, whoever was granted; one that tells nothing new changes nothing.

    The grant, in whatever account, is charged by what is told here (`models.ledger.rows.charges`): settling never
    writes a template again.
    """
    numbering = site.numbering(event.device)
    now_known = numbering.including(event.report.number)
    told = _told(site, event, moment, is_new=now_known is not numbering)
    outcome = _kept(event, moment, told.cm, now_known.missing)
    if told.settlement is None and now_known is numbering:
        row = PartitionRow(offset=moment.offset, at=moment.at)
        return Decision(outcomes=(outcome,), key=PARTITION_KEY, row=row)
    key, entries = _row(site, event.device, told.settlement, moment)
    account = DispenserAccount(offset=moment.offset, at=moment.at, entries=entries, numbering=now_known)
    return Decision(outcomes=(outcome,), key=key, row=account)


def kept_again(site: Site, event: Reported, moment: Moment) -> ReportKept:
    """Tell once more that a report is kept, which was folded before."""
    report, cm = event.report, 0
    if isinstance(report, Dispensed | LocalRation):
        told = site.settlement(event.device, report.request, moment.horizon)
        cm = told[1].more_cm if told and told[1].offset == moment.offset else 0
    return _kept(event, moment, cm, site.numbering(event.device).missing)


def _told(site: Site, event: Reported, moment: Moment, *, is_new: bool) -> _Told:
    match event.report:
        case Stock() | Battery() | UnreadableReport():
            return _Told(None, 0)
        case Dispensed() | LocalRation() | Declined() as report:
            return _told_of_the_motor(site, event.device, report, moment, is_new=is_new)
        case unknown:
            assert_never(unknown)


def _told_of_the_motor(site: Site, device: str, report: _MotorReport, moment: Moment, *, is_new: bool) -> _Told:
    """Settle to the most that any report tells, so that reports may come twice and in any order.

    What is older than a window changes no account and counts by its number. A dispenser that lost its memory counts
    from 1 again: so in an account not the number decides what is known, but the request.
    """
    happened = moment.at - report.ago_ms
    cm = 0 if isinstance(report, Declined) else report.cm
    if happened <= moment.horizon:
        return _Told(None, cm if is_new else 0)
    is_asked = site.held(device, report.request, moment.horizon) is not None
    known = site.settlement(device, report.request, moment.horizon)
    if not is_asked and (isinstance(report, Declined) or (known is None and site.is_full)):
        return _Told(None, cm if is_new else 0)
    before = known[1] if known else None
    shortfall = _shortfall(report)
    if before and (before.cm, before.shortfall or "") >= (cm, shortfall or ""):
        return _Told(None, 0)
    more = cm - (before.cm if before else 0)
    at = before.at if before else happened
    return _Told(Settlement(device, report.request, at, cm, shortfall, moment.offset, more), more)


def _shortfall(report: _MotorReport) -> Shortfall | None:
    return "expired" if isinstance(report, Declined) else report.fault


def _row(site: Site, device: str, told: Settlement | None, moment: Moment) -> tuple[str, Remembered]:
    """The dispenser's row that takes the settlement, in the place of an earlier one of the same request."""
    known = site.settlement(device, told.request, moment.horizon) if told else None
    if told is None or known is None:
        key, entries = site.open_row(device, moment.horizon)
        return key, (*entries, told) if told else entries
    key, earlier = known
    return key, tuple(told if entry is earlier else entry for entry in site.accounts[key].entries)


def _kept(event: Reported, moment: Moment, cm: int, missing: int) -> ReportKept:
    """Tell that a report is kept, known or not."""
    report = event.report
    return ReportKept(
        site=event.site,
        device=event.device,
        offset=moment.offset,
        at=moment.at,
        command=Noted(numbers=(report.number,), reason=report.reason if isinstance(report, UnreadableReport) else None),
        what=str(report.__struct_config__.tag),
        reason=report.reason if isinstance(report, Declined) else None,
        fault=report.fault if isinstance(report, Dispensed | LocalRation) else None,
        cm=cm,
        missing=missing,
        stock_cm=report.cm if isinstance(report, Stock) else None,
        battery_percent=report.percent if isinstance(report, Battery) else None,
    )
