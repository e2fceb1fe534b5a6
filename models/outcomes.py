"""What the decider says: each outcome is one record of `fairroll.decisions`, with the offset of its event."""

from typing import Literal

from msgspec import Struct

from models.messages import Answer, Control, Noted

__all__ = ["Answered", "By", "ControlChanged", "Identity", "Outcome", "ReportKept", "SiteCounted"]

By = Literal["face", "button", "staff", "forget", "local"]
"""How somebody asked; `local` where a dispenser served by itself."""

Identity = Literal["same", "new", "doubt", "unreadable"]
"""What the search said of a face; `doubt` was taken for someone new."""


class _Outcome(Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    site: str
    offset: int
    at: int
    """the time of the decision, milliseconds since 1970"""


class Answered(_Outcome, tag="answered", frozen=True, kw_only=True):
    """A request got its one decision; egress publishes `command`."""

    device: str
    by: By
    command: Answer
    expires_at: int | None = None
    """when the dispenser stops waiting, milliseconds since 1970; only saves traffic"""
    repeated: bool = False
    """The same answer once more, charged to nobody."""
    identity: Identity | None = None
    visitor: str | None = None
    score: int | None = None
    """Equal bits, of 512, with the nearest live template."""
    model: str | None = None


class ReportKept(_Outcome, tag="kept", frozen=True, kw_only=True):
    """A report is in the ledger; egress publishes `command`."""

    device: str
    command: Noted
    what: str
    """the report's kind"""
    reason: str | None = None
    """why a command was declined"""
    fault: str | None = None
    cm: int = 0
    """What came out by this report; 0 where it told so before."""
    missing: int = 0
    """How many of the dispenser's reports, by their numbers, have not come."""
    stock_cm: int | None = None
    battery_percent: int | None = None


class ControlChanged(_Outcome, tag="control", frozen=True, kw_only=True):
    """How the site works now; goes to `fairroll.controls`, egress publishes it retained."""

    control: Control


class SiteCounted(_Outcome, tag="counted", frozen=True, kw_only=True):
    """What the site remembers, told at each tick."""

    templates: int
    accounts: int
    oldest_s: float
    """age of the oldest template, seconds; 0 without any"""


Outcome = Answered | ReportKept | ControlChanged | SiteCounted
