"""Metrics of single records: a machine's report, a tick, a state, a control, a dead letter, a sample. Pure.

Answers have no points here: `stream_processors/sink/rollups.py` sums them up.
"""

from collections.abc import Mapping
from typing import assert_never

from models.contract.dead_letters import DeadLetter
from models.contract.messages import Control, DeviceState
from models.ledger.outcomes import (
    Answered,
    ControlChanged,
    EpochBegan,
    Held,
    Outcome,
    Receipt,
    Removed,
    ReportKept,
    Resumed,
    SiteCounted,
    SiteRegistered,
)
from models.metrics.catalogue import (
    CONTROLS,
    DEAD_LETTERS,
    DEVICES,
    LAG,
    RECEIPTS,
    REPORTS,
    SERVICES,
    SITES,
    ServiceState,
)
from models.metrics.schema import Value
from stream_processors.runtime.health import Vitals

__all__ = [
    "NS_PER_MS",
    "control_point",
    "dead_letter_point",
    "lag_point",
    "outcome_point",
    "service_point",
    "stamp",
    "state_point",
]

NS_PER_MS = 1_000_000

Fields = Mapping[str, Value | None]


def stamp(at: int, offset: int) -> int:
    """Return the nanoseconds of a point: Kafka's time in ms, plus the offset, which separates points of one ms.

    A record that is read again gets the same time and overwrites its point.
    """
    return at * NS_PER_MS + offset % NS_PER_MS


def outcome_point(outcome: Outcome, appended: int) -> str | None:
    """Return the line of an outcome that Kafka appended at `appended` ms; None for one that is summed up elsewhere."""
    at = stamp(outcome.at, outcome.offset)
    match outcome:
        case ReportKept():
            return _report(outcome, at)
        case SiteCounted():
            return _counted(outcome, appended, at)
        case Held() | Removed() | Resumed() | EpochBegan():
            return _receipt(outcome, at)
        case Answered() | ControlChanged() | SiteRegistered():
            return None
        case _:
            assert_never(outcome)


def state_point(site: str, device: str, state: DeviceState, offset: int, appended: int) -> str:
    """Return the line of a dispenser's state."""
    fields: Fields = {"online": state.online, "mode": state.mode, "firmware": state.firmware}
    return DEVICES.line(stamp(appended, offset), {"site": site, "device": device}, fields)


def control_point(control: Control, offset: int, appended: int) -> str:
    """Return the line of a site's new control."""
    fields: Fields = {"mode": control.mode, "policy": control.policy, "epoch": control.epoch}
    return CONTROLS.line(stamp(appended, offset), {"site": control.site}, fields)


def dead_letter_point(letter: DeadLetter, offset: int, appended: int) -> str:
    """Return the line of a dead letter."""
    fields: Fields = {"n": 1, "size": letter.size, "reason": letter.reason, "source": letter.source}
    return DEAD_LETTERS.line(stamp(appended, offset), {}, fields)


def service_point(address: str, vitals: Vitals | None, at: int, last: Vitals | None = None) -> str:
    """Return the line of a service sampled at `at` ms; counts without a field in the catalogue are left out.

    `last`: the last answer at this address, which names a service that does not answer now.
    """
    named = vitals or last
    tags = {"address": address, "service": named.service, "instance": named.instance} if named else {"address": address}
    if vitals is None:
        return SERVICES.line(at * NS_PER_MS, tags, {"state": ServiceState.SILENT})
    known = {field.name for field in SERVICES.fields}
    counts = {name: count for name, count in vitals.counts.items() if name in known}
    return SERVICES.line(at * NS_PER_MS, tags, {**counts, "state": _state(vitals), "up_s": vitals.up_s})


def _state(vitals: Vitals) -> ServiceState:
    if not vitals.alive:
        return ServiceState.STUCK
    return ServiceState.READY if vitals.ready else ServiceState.NOT_READY


def lag_point(group: str, topic: str, records: int, seconds: float, at: int) -> str:
    """Return the line of a group's lag at `at` ms."""
    return LAG.line(at * NS_PER_MS, {"group": group, "topic": topic}, {"records": records, "seconds": seconds})


def _counted(outcome: SiteCounted, appended: int, at: int) -> str:
    fields: Fields = {
        "templates": outcome.templates,
        "accounts": outcome.accounts,
        "oldest_s": outcome.oldest_s,
        "decided_ms": max(0, appended - outcome.at),
        "window_s": outcome.window_s,
        "mode": outcome.mode,
        "held": outcome.mode == "held",
        "epoch": outcome.epoch,
        "epoch_age_s": outcome.epoch_age_s,
        "wrongful": outcome.wrongful,
        "missed": outcome.missed,
        "clock_corrections": outcome.corrections,
    }
    return SITES.line(at, {"site": outcome.site}, fields)


def _receipt(outcome: Receipt, at: int) -> str:
    """Return the line of a receipt, without operator and reason, which `fairroll receipts` shows."""
    erased = None if isinstance(outcome, Resumed) else outcome
    fields: Fields = {
        "templates": erased.templates if erased else 0,
        "accounts": erased.accounts if erased else 0,
        "epoch": outcome.epoch if isinstance(outcome, EpochBegan) else None,
    }
    return RECEIPTS.line(at, {"site": outcome.site, "what": str(outcome.__struct_config__.tag)}, fields)


def _report(outcome: ReportKept, at: int) -> str:
    tags = {
        "site": outcome.site,
        "device": outcome.device,
        "what": outcome.what,
        "reason": outcome.reason,
        "fault": outcome.fault,
    }
    fields: Fields = {
        "n": 1,
        "number": max(outcome.command.numbers, default=None),
        "cm": outcome.cm,
        "excess_cm": outcome.excess_cm,
        "missing": outcome.missing,
        "stock_cm": outcome.stock_cm,
        "battery_percent": outcome.battery_percent,
    }
    return REPORTS.line(at, tags, fields)
