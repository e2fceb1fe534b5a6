"""Reports: a grant reserves paper, and the report of the motor settles it."""

from typing import NamedTuple, assert_never

from models.contract.messages import Ack, Battery, Declined, Dispensed, LocalRation, Stock
from models.ledger.decision import Decision, Moment, unchanged
from models.ledger.events import Reported, UnreadableReport
from models.ledger.outcomes import ReportKept
from models.ledger.rows import (
    DispenserAccount,
    Remembered,
    Settlement,
    is_visitor_key,
)
from models.ledger.rules.bounds import MOST_UNMATCHED
from models.ledger.rules.policy import Shortfall
from models.ledger.state.site import Site

__all__ = ["kept_again", "settle"]

_MotorReport = Dispensed | LocalRation | Declined


class _Paper(NamedTuple):
    """What a report adds to earlier reports about paper."""

    settlement: Settlement | None = None
    """None where no account changes"""
    cm: int = 0
    """dispensed length that no earlier report stated"""
    excess_cm: int = 0
    """reported beyond the possible length; it counts nowhere"""


def settle(site: Site, event: Reported, moment: Moment) -> Decision:
    """Settle a report in its dispenser's rows; a report without news changes nothing.

    The grant stays in its account and is charged by the settlement (`models.ledger.rows.charges`): settling never
    writes a template again.
    """
    numbering = site.numbering(event.device)
    now_known = numbering.including(event.report.number)
    paper = _paper(site, event, moment, is_new=now_known is not numbering)
    outcome = _kept(event, moment, paper, now_known.missing)
    if paper.settlement is None and now_known is numbering:
        return unchanged(moment, outcome)
    key, entries = _row(site, event.device, paper.settlement, moment)
    account = DispenserAccount(offset=moment.offset, at=moment.at, entries=entries, numbering=now_known)
    return Decision(outcomes=(outcome,), key=key, row=account)


def kept_again(site: Site, event: Reported, moment: Moment) -> ReportKept:
    """Answer a redelivered report from the ledger."""
    report, paper = event.report, _Paper()
    if isinstance(report, Dispensed | LocalRation):
        found = site.requests.settlement(event.device, report.request, moment.horizon)
        if found and found[1].offset == moment.offset:
            due_cm = _due_cm(site, event.device, report, moment)
            paper = _Paper(cm=found[1].more_cm, excess_cm=max(0, report.cm - due_cm))
    return _kept(event, moment, paper, site.numbering(event.device).missing)


def _paper(site: Site, event: Reported, moment: Moment, *, is_new: bool) -> _Paper:
    match event.report:
        case Stock() | Battery() | UnreadableReport():
            return _Paper()
        case Declined() as report:
            return _settled(site, event.device, report, moment, cm=0, is_new=is_new)
        case Dispensed() | LocalRation() as report:
            cm = min(report.cm, _due_cm(site, event.device, report, moment))
            paper = _settled(site, event.device, report, moment, cm=cm, is_new=is_new)
            return paper._replace(excess_cm=report.cm - cm if is_new else 0)
        case unknown:
            assert_never(unknown)


def _due_cm(site: Site, device: str, report: Dispensed | LocalRation, moment: Moment) -> int:
    """Return the largest possible length for a request: the grant, or a local ration."""
    asked = site.requests.entry(device, report.request, moment.horizon)
    return (asked[1].granted_cm if asked else 0) or site.policy.portion_cm


def _settled(site: Site, device: str, report: _MotorReport, moment: Moment, *, cm: int, is_new: bool) -> _Paper:
    """Settle to the largest amount that any report states, so that reports may be repeated and reordered.

    A report that is older than a window, or states 0 cm for an unknown request, changes no account and
    counts by its number. In an account the request decides whether a report is known, not the number: a dispenser that
    lost its journal counts from 1 again.
    """
    happened = moment.at - report.ago_ms
    if happened <= moment.horizon:
        return _Paper(cm=cm if is_new else 0)
    asked = site.requests.entry(device, report.request, moment.horizon)
    known = site.requests.settlement(device, report.request, moment.horizon)
    if asked is None and known is None and (cm == 0 or _is_full(site, device, moment)):
        return _Paper(cm=cm if is_new else 0)
    before = known[1] if known else Settlement(device, report.request, happened, 0)
    shortfall = _shortfall(report)
    if known and (before.cm, before.shortfall or "") >= (cm, shortfall or ""):
        return _Paper()
    settlement = Settlement(
        device=device,
        request=report.request,
        at=before.at,
        cm=cm,
        shortfall=shortfall,
        offset=moment.offset,
        more_cm=cm - before.cm,
        granted_at=asked[1].at if asked and asked[1].granted_cm else None,
        is_visitors=asked is not None and is_visitor_key(asked[0]),
    )
    return _Paper(settlement, settlement.more_cm)


def _is_full(site: Site, device: str, moment: Moment) -> bool:
    """Whether the bound of a dispenser's reports about unknown requests is reached."""
    return site.requests.sums(device).unmatched.after(moment.horizon) >= MOST_UNMATCHED


def _shortfall(report: _MotorReport) -> Shortfall | None:
    return "expired" if isinstance(report, Declined) else report.fault


def _row(site: Site, device: str, settlement: Settlement | None, moment: Moment) -> tuple[str, Remembered]:
    """Return the dispenser's row with the settlement, which replaces an earlier one of the same request."""
    known = site.requests.settlement(device, settlement.request, moment.horizon) if settlement else None
    if settlement is None or known is None:
        key, entries = site.open_row(device, moment.horizon)
        return key, (*entries, settlement) if settlement else entries
    key, earlier = known
    return key, tuple(settlement if entry is earlier else entry for entry in site.accounts[key].entries)


def _kept(event: Reported, moment: Moment, paper: _Paper, missing: int) -> ReportKept:
    report = event.report
    return ReportKept(
        site=event.site,
        device=event.device,
        offset=moment.offset,
        at=moment.at,
        command=Ack(numbers=(report.number,), reason=report.reason if isinstance(report, UnreadableReport) else None),
        what=str(report.__struct_config__.tag),
        reason=report.reason if isinstance(report, Declined) else None,
        fault=report.fault if isinstance(report, Dispensed | LocalRation) else None,
        cm=paper.cm,
        excess_cm=paper.excess_cm,
        missing=missing,
        stock_cm=report.cm if isinstance(report, Stock) else None,
        battery_percent=report.percent if isinstance(report, Battery) else None,
    )
