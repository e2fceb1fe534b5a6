"""Metrics: each outcome, state and dead letter as one line of InfluxDB's line protocol. Pure.

Tags come from the lists below and from nowhere else: no tag, field or measurement can carry a visitor.
"""

from collections.abc import Mapping

from models.dead_letters import DeadLetter
from models.face_models import FACE_MODELS
from models.messages import DeviceState, Dispense, Forgotten, Refuse
from models.outcomes import Answered, ControlChanged, EpochBegan, Held, Outcome, ReportKept, Resumed, SiteCounted

__all__ = ["dead_letter_point", "outcome_point", "state_point"]

Fields = Mapping[str, float | str | bool | None]

_NS_PER_MS = 1_000_000


def outcome_point(outcome: Outcome, appended: int) -> str | None:
    """The line of a decision, which Kafka appended at `appended` ms; None for what is not measured.

    Two decisions of one millisecond would overwrite each other, so the event's offset goes into the
    nanoseconds; the same decision written twice stays one point.
    """
    at = outcome.at * _NS_PER_MS + outcome.offset % _NS_PER_MS
    match outcome:
        case Answered():
            return _answered(outcome, appended, at)
        case ReportKept():
            tags = {"site": outcome.site, "device": outcome.device, "what": outcome.what}
            fields: Fields = {
                "cm": outcome.cm,
                "stock_cm": outcome.stock_cm,
                "battery_percent": outcome.battery_percent,
                "missing": outcome.missing,
                "fault": outcome.fault,
                "reason": outcome.reason,
            }
            return _line("reports", tags, fields, at)
        case SiteCounted():
            counts = {"templates": outcome.templates, "accounts": outcome.accounts, "oldest_s": outcome.oldest_s}
            return _line("sites", {"site": outcome.site}, counts, at)
        case ControlChanged() | Held() | Resumed() | EpochBegan():
            return None


def state_point(site: str, device: str, state: DeviceState, appended: int) -> str:
    """The line of a dispenser that came or went."""
    fields: Fields = {"online": state.online, "mode": state.mode, "firmware": state.firmware}
    return _line("devices", {"site": site, "device": device}, fields, appended * _NS_PER_MS)


def dead_letter_point(letter: DeadLetter, offset: int, appended: int) -> str:
    """The line of a message that nobody could read; the reason is a field, since its values are many."""
    fields: Fields = {"reason": letter.reason, "size": letter.size, "source": letter.source}
    return _line("dead_letters", {}, fields, appended * _NS_PER_MS + offset % _NS_PER_MS)


def _answered(outcome: Answered, appended: int, at: int) -> str:
    command = outcome.command
    tags = {
        "site": outcome.site,
        "device": outcome.device,
        "by": outcome.by,
        "outcome": str(command.__struct_config__.tag),
        "reason": command.reason if isinstance(command, Refuse) else None,
        "identity": outcome.identity,
        "model": outcome.model if outcome.model in FACE_MODELS else None,
    }
    fields: Fields = {
        "cm": command.cm if isinstance(command, Dispense) else 0,
        "decided_ms": appended - outcome.at,
        "score": outcome.score,
        "retry_after_s": command.retry_after_s if isinstance(command, Refuse) else None,
        "erased": command.erased if isinstance(command, Forgotten) else None,
        "repeated": outcome.repeated,
    }
    return _line("requests", tags, fields, at)


def _line(measurement: str, tags: Mapping[str, str | None], fields: Fields, at: int) -> str:
    """Tags are names of sites, devices and models that we know: nothing in them needs escaping."""
    head = ",".join([measurement, *(f"{name}={value}" for name, value in tags.items() if value)])
    body = ",".join(f"{name}={_field(value)}" for name, value in fields.items() if value is not None)
    return f"{head} {body} {at}"


def _field(value: float | str | bool) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return f"{value}i"
        case float():
            return repr(value)
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
            return f'"{escaped}"'
