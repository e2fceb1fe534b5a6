"""The events that the decider folds: one topic, in order per site."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from models.contract.messages import Number, Placement, Reason, Report, Request, Sign
from models.contract.topics import Name
from models.keys.seals import Sealed
from models.ledger.outcomes import Identity
from models.ledger.rules.bounds import MOST_DISPENSERS
from models.ledger.rules.policy import Policy

__all__ = [
    "EpochEnded",
    "Event",
    "Recalled",
    "Record",
    "Reported",
    "Requested",
    "SiteConfigured",
    "SiteEvent",
    "SiteHeld",
    "SiteRemoved",
    "SiteResumed",
    "Ticked",
    "UnreadableReport",
]

Remark = Annotated[str, Meta(max_length=200)]


class _Event(Struct, frozen=True, kw_only=True, tag_field="kind"):
    v: Literal[1] = 1


class Requested(_Event, tag="requested", frozen=True, kw_only=True):
    """A dispenser sent a request."""

    site: Name
    device: Name
    request: Request
    patience_s: int | None = None
    """remaining patience, from MQTT's message expiry"""
    sealed: Sealed | None = None
    """The request's template, sealed. In Kafka the request itself never has one; a holder of the key restores it."""


class Recalled(Requested, tag="requested", frozen=True, kw_only=True):
    """A request whose template cannot be read any more, with its recorded identity.

    Exists only in the memory of a replay: it is not part of `Event`, so no record of Kafka is decoded as one.
    """

    identity: Identity = "unreadable"
    visitor: str | None = None
    score: int | None = None
    crowd: int | None = None
    threshold: int | None = None
    erased: int = 0
    """for a request to be forgotten: the number of erased templates"""


class UnreadableReport(Struct, frozen=True, kw_only=True, tag_field="kind", tag="unreadable"):
    """A report that breaks the contract and whose number can be read: a dead letter keeps it, no account changes.

    Never on the wire: ingress makes it, so that the report is acknowledged and dropped.
    """

    number: Number
    reason: Reason


class Reported(_Event, tag="reported", frozen=True, kw_only=True):
    """A dispenser reported what it did or measured."""

    site: Name
    device: Name
    report: Report | UnreadableReport


class SiteConfigured(_Event, tag="configured", frozen=True, kw_only=True):
    """An operator set the mode and the policy of a site."""

    site: Name
    mode: Literal["face", "button"]
    policy: Policy
    placement: Placement = "entrance"
    sign: Sign = ""
    devices: Annotated[tuple[Name, ...], Meta(max_length=MOST_DISPENSERS)] = ()
    """every dispenser of the site: one that is not listed is refused"""
    minors: bool = False
    simulated: bool = False


class SiteRemoved(_Event, tag="removed", frozen=True, kw_only=True):
    """An operator took the site out of service: nothing that it remembers counts from here on."""

    site: Name
    why: Remark = ""
    by: Remark = ""


class SiteHeld(_Event, tag="held", frozen=True, kw_only=True):
    """An operator turned the site's face recognition off: its visitors' accounts are void from here on."""

    site: Name
    why: Remark
    by: Remark = ""


class SiteResumed(_Event, tag="resumed", frozen=True, kw_only=True):
    """An operator resumed the site: it works again as configured."""

    site: Name
    why: Remark = ""
    by: Remark = ""


class EpochEnded(_Event, tag="epoch-ended", frozen=True, kw_only=True):
    """The site's template key has expired; repeated, the event has no further effect."""

    site: Name
    epoch: int
    """the one that ended"""


class Ticked(_Event, tag="ticked", frozen=True, kw_only=True):
    """Time passed in a partition."""


SiteEvent = Requested | Reported | SiteConfigured | SiteRemoved | SiteHeld | SiteResumed | EpochEnded
"""The events of one site."""
Event = SiteEvent | Ticked


class Record(Struct, frozen=True, kw_only=True):
    """An event as Kafka stores it."""

    offset: int
    at: int
    """milliseconds since 1970 at which the broker appended it (LogAppendTime)"""
    event: Event
