"""Reports: what the motor really did settles what was granted."""

from math import ceil
from typing import assert_never

from msgspec import structs

from models.accounts import PARTITION_KEY, DispenserAccount, Entry, PartitionRow
from models.decision import Decision, Moment
from models.events import Reported
from models.messages import Battery, Declined, Dispensed, LocalRation, Noted, Stock
from models.outcomes import ReportKept
from models.site import Site

__all__ = ["kept", "settle"]

_MotorReport = Dispensed | LocalRation | Declined


def settle(site: Site, event: Reported, moment: Moment) -> Decision:
    """Settle a report. A measurement, one that is known and one older than a window change no account."""
    match event.report:
        case Stock() | Battery():
            decision = None
        case Dispensed() | LocalRation() | Declined() as report:
            decision = _settle(site, event, report, moment)
        case unknown:
            assert_never(unknown)
    row = PartitionRow(offset=moment.offset, at=moment.at)
    return decision or Decision(outcomes=(kept(event, moment),), key=PARTITION_KEY, row=row)


def kept(event: Reported, moment: Moment, cm: int = 0) -> ReportKept:
    """Tell that a report is kept, known or not; `cm` is what it newly tells of."""
    report = event.report
    return ReportKept(
        site=event.site,
        device=event.device,
        offset=moment.offset,
        at=moment.at,
        command=Noted(numbers=(report.number,)),
        what=str(report.__struct_config__.tag),
        reason=report.reason if isinstance(report, Declined) else None,
        fault=report.fault if isinstance(report, Dispensed | LocalRation) else None,
        cm=cm,
        stock_cm=report.cm if isinstance(report, Stock) else None,
        battery_percent=report.percent if isinstance(report, Battery) else None,
    )


def _settle(site: Site, event: Reported, report: _MotorReport, moment: Moment) -> Decision | None:
    """Settle the account that holds the report's request, else the dispenser's; None where nothing changes."""
    happened = moment.at - ceil(report.ago_s * 1000)
    if happened <= moment.horizon:
        return None
    if held := site.held(event.device, report.request, moment.horizon):
        return _settle_entry(site, event, 0 if isinstance(report, Declined) else report.cm, moment, *held)
    return None if isinstance(report, Declined) else _charge_dispenser(site, event, report, moment, happened)


def _settle_entry(site: Site, event: Reported, cm: int, moment: Moment, key: str, entry: Entry) -> Decision | None:
    """Settle to the most that any report tells, so that reports may come twice and in any order."""
    before = entry.dispensed_cm
    after = max(before or 0, cm)
    if before == after:
        return None
    settled = structs.replace(entry, dispensed_cm=after)
    account = site.accounts[key]
    entries = tuple(settled if e is entry else e for e in account.entries)
    row = structs.replace(account, offset=moment.offset, at=moment.at, entries=entries)
    return Decision(outcomes=(kept(event, moment, after - (before or 0)),), key=key, row=row)


def _charge_dispenser(
    site: Site, event: Reported, report: Dispensed | LocalRation, moment: Moment, happened: int
) -> Decision | None:
    """Charge the dispenser with what it gave for a request that no account knows, once for each request.

    The number would not do: a dispenser that lost its memory counts from 1 again.
    """
    entry_id = f"#{report.request}"
    if site.held(event.device, entry_id, moment.horizon):
        return None
    key, entries = site.open_row(event.device, moment.horizon)
    entry = Entry(event.device, entry_id, happened, "local", None, report.cm)
    row = DispenserAccount(offset=moment.offset, at=moment.at, entries=(*entries, entry))
    return Decision(outcomes=(kept(event, moment, report.cm),), key=key, row=row)
