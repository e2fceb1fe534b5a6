"""What the decider learns, in one topic, in one order per site."""

from typing import Literal

from msgspec import Struct

from models.messages import Report, Request
from models.policy import Policy
from models.topics import Name

__all__ = ["Event", "Record", "Reported", "Requested", "SiteConfigured", "Ticked"]


class _Event(Struct, frozen=True, kw_only=True, tag_field="kind"):
    v: Literal[1] = 1


class Requested(_Event, tag="requested", frozen=True, kw_only=True):
    """A dispenser asked."""

    site: Name
    device: Name
    request: Request
    patience_s: int | None = None
    """how much longer the dispenser waits, as MQTT's message expiry tells"""


class Reported(_Event, tag="reported", frozen=True, kw_only=True):
    """A dispenser told what it did or measured."""

    site: Name
    device: Name
    report: Report


class SiteConfigured(_Event, tag="configured", frozen=True, kw_only=True):
    """An operator set how a site works from now on."""

    site: Name
    mode: Literal["face", "button"]
    policy: Policy


class Ticked(_Event, tag="ticked", frozen=True, kw_only=True):
    """Time passed in a partition, whether or not somebody came."""


Event = Requested | Reported | SiteConfigured | Ticked


class Record(Struct, frozen=True, kw_only=True):
    """An event as Kafka keeps it."""

    offset: int
    at: int
    """milliseconds since 1970 at which the broker appended it (LogAppendTime)"""
    event: Event
