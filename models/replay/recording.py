"""What a replay reads: recorded events, each with the outcomes that the decider published, and their description."""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Raw, Struct, structs

from models.contract.messages import FaceSeen, ForgetRequested
from models.contract.topics import Name
from models.errors import MalformedMessage
from models.ledger.events import Event, Requested, Ticked
from models.ledger.rows import SiteRow

__all__ = [
    "OutcomeHeader",
    "RecordedEvent",
    "Recording",
    "first_outcomes",
    "matches",
    "read_outcome_header",
    "without_template",
]


class Recording(Struct, frozen=True, kw_only=True):
    """The range that was recorded. Events before `since` are the warm-up: they determine what counts at `since`."""

    since: int
    """append time of the first requested event, milliseconds since 1970"""
    until: int
    """append time, exclusive"""
    first: dict[int, int]
    """Offset from which each partition was read; 0 means that nothing is missing."""
    settings: dict[int, dict[Name, SiteRow]] = {}
    """By partition: the settings of its sites before the first event."""
    guessed: tuple[Name, ...] = ()
    """Sites whose earlier settings are lost; `settings` holds later ones."""
    sites: tuple[Name, ...] = ()
    """Filter; empty: all sites."""
    devices: tuple[Name, ...] = ()
    """Filter; empty: all dispensers."""
    with_templates: bool = False


class RecordedEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event and the outcomes of its decision."""

    partition: int
    offset: int
    at: int
    """the partition's watermark at this event, milliseconds since 1970"""
    event: Event
    outcomes: tuple[Raw, ...] = ()
    """Outcomes as Kafka stores them, byte for byte, without those of redeliveries."""


class OutcomeHeader(Struct, frozen=True):
    """The fields that every version of an outcome has."""

    offset: int
    kind: str
    site: str = ""


_header: msgspec.json.Decoder[OutcomeHeader] = msgspec.json.Decoder(OutcomeHeader)


def read_outcome_header(value: bytes) -> OutcomeHeader:
    """Decode the header of an outcome; raises MalformedMessage."""
    try:
        return _header.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedMessage(f"no outcome: {error}"[:300]) from None


def first_outcomes(outcomes: Iterable[tuple[OutcomeHeader, bytes]]) -> tuple[Raw, ...]:
    """Keep the first outcome of each kind and site; later ones answered a redelivery."""
    first: dict[tuple[str, str], bytes] = {}
    for header, value in outcomes:
        first.setdefault((header.kind, header.site), value)
    return tuple(Raw(value) for value in first.values())


def without_template(event: Requested) -> Requested:
    """Return the request without its template, open or sealed."""
    request = event.request
    if isinstance(request, FaceSeen | ForgetRequested):
        request = structs.replace(request, template=None)
    return structs.replace(event, request=request, sealed=None)


def matches(event: Event, sites: Sequence[str], devices: Sequence[str]) -> bool:
    """Return whether an event passes the filter. Ticks always do, and a site's settings pass a device filter."""
    if isinstance(event, Ticked):
        return True
    device = getattr(event, "device", None)
    return (not sites or event.site in sites) and (not devices or device is None or device in devices)
