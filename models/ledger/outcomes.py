"""Outcomes of the decider: each is one record of the decisions topic, with the offset of its event."""

from typing import Literal

from msgspec import Struct

from models.contract.messages import Ack, Answer, Control, Mode, Revision
from models.ledger.rules.registry import RegisteredSite

__all__ = [
    "Answered",
    "By",
    "ControlChanged",
    "EpochBegan",
    "Held",
    "Identity",
    "Outcome",
    "Receipt",
    "Removed",
    "ReportKept",
    "Resumed",
    "SiteCounted",
    "SiteRegistered",
]

By = Literal["face", "button", "staff", "forget", "local"]
"""How the visitor asked; `local`: a local ration of the dispenser."""

Identity = Literal["same", "new", "doubt", "unreadable"]
"""Result of the search; `doubt` counts as new, `unreadable` has no key or another epoch's."""


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
    """The same answer again, not charged."""
    identity: Identity | None = None
    visitor: str | None = None
    score: int | None = None
    """Equal bits with the nearest live template; the model has how many there are."""
    crowd: int | None = None
    """live templates that the face was compared with"""
    threshold: int | None = None
    """the score from which it was the same visitor, for that crowd; None: not recognised whatever the score"""
    model: str | None = None


class ReportKept(_Outcome, tag="kept", frozen=True, kw_only=True):
    """A report is in the ledger; egress publishes `command`."""

    device: str
    command: Ack
    what: str
    """the report's kind"""
    reason: str | None = None
    """why a command was declined"""
    fault: str | None = None
    cm: int = 0
    """Dispensed length that no earlier report stated."""
    excess_cm: int = 0
    """Reported beyond the grant or ration: a fault of the dispenser. It counts
    against no limit."""
    missing: int = 0
    """Number of the dispenser's reports that are missing, by their numbers."""
    stock_cm: int | None = None
    battery_percent: int | None = None


class ControlChanged(_Outcome, tag="control", frozen=True, kw_only=True):
    """The site's new control; sent to `fairroll.controls`, and published retained by egress."""

    control: Control | None
    """None: the site was removed, and its control is withdrawn"""
    revision: Revision


class SiteRegistered(_Outcome, tag="registered", frozen=True, kw_only=True):
    """What the operator configured; goes to `fairroll.sites`, which ingress and operators' commands follow."""

    registered: RegisteredSite | None
    """None: the site was removed"""
    revision: Revision


class SiteCounted(_Outcome, tag="counted", frozen=True, kw_only=True):
    """Counts of a site's memory, at each tick."""

    templates: int
    accounts: int
    oldest_s: float
    """age of the oldest template, seconds; 0 without any"""
    mode: Mode = "button"
    epoch: int = 0
    epoch_age_s: float = 0.0
    window_s: int = 0
    """the longest that a template may live here"""
    wrongful: float = 0.0
    """Upper bound of the live templates that a new visitor's face is expected to match, and so of wrongful refusals per
    request by face; the button and staff remain. The target of the policy bounds
    it."""
    missed: float = 0.0
    """share of those who return that is expected not to be recognised, at the threshold of this crowd"""
    corrections: int = 0
    """how often the partition's clock was in the future and was set back"""


class Held(_Outcome, tag="held", frozen=True, kw_only=True):
    """The receipt of a hold: counts of the erased accounts and templates."""

    templates: int
    accounts: int
    oldest_s: float
    why: str
    by: str = ""


class Removed(_Outcome, tag="removed", frozen=True, kw_only=True):
    """The receipt of a site's removal: what was remembered of visitors and is erased."""

    templates: int
    accounts: int
    oldest_s: float
    why: str = ""
    by: str = ""


class Resumed(_Outcome, tag="resumed", frozen=True, kw_only=True):
    """The receipt of a resume: the site works again as configured."""

    mode: Mode
    why: str = ""
    by: str = ""


class EpochBegan(_Outcome, tag="epoch", frozen=True, kw_only=True):
    """The receipt of a new epoch: devices make templates under its key; earlier templates are void."""

    epoch: int
    templates: int
    accounts: int


Receipt = Held | Removed | Resumed | EpochBegan
"""Records for operators and auditors, kept in the receipts topic."""
Outcome = Answered | ReportKept | ControlChanged | SiteRegistered | SiteCounted | Receipt
