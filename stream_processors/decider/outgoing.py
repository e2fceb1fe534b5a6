"""The record that each outcome of the decider is sent as."""

from typing import NamedTuple, assert_never

from models.contract.codec import encode
from models.contract.messages import Control, Revision
from models.contract.site_records import Headers, revision_header
from models.contract.topics import Topics
from models.ledger.outcomes import (
    Answered,
    ControlChanged,
    EpochBegan,
    Held,
    Outcome,
    Removed,
    ReportKept,
    Resumed,
    SiteCounted,
    SiteRegistered,
)
from models.ledger.rules.registry import RegisteredSite

__all__ = ["Outgoing", "outgoing"]


class Outgoing(NamedTuple):
    """A record to send."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None
    """None: a tombstone"""
    headers: Headers = ()


def outgoing(outcome: Outcome, topics: Topics, partition: int) -> Outgoing:
    """Return the record of an outcome, in the partition of its event: sites have the same one in all topics."""
    key = outcome.site.encode()
    match outcome:
        case ControlChanged():
            return _newest(topics.controls, partition, key, outcome.control, outcome.revision)
        case SiteRegistered():
            return _newest(topics.sites, partition, key, outcome.registered, outcome.revision)
        case Held() | Removed() | Resumed() | EpochBegan():
            return Outgoing(topics.receipts, partition, key, encode(outcome))
        case Answered() | ReportKept() | SiteCounted():
            return Outgoing(topics.decisions, partition, key, encode(outcome))
        case _:
            assert_never(outcome)


def _newest(
    topic: str, partition: int, key: bytes, value: Control | RegisteredSite | None, revision: Revision
) -> Outgoing:
    """The record of a compacted topic. A tombstone has no value, so its revision is in a header."""
    if value is None:
        return Outgoing(topic, partition, key, None, (revision_header(revision),))
    return Outgoing(topic, partition, key, encode(value))
