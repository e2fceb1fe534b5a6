"""What a replay reads: happenings, each an event with what was said of it, and a description of the whole."""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Raw, Struct, structs

from models.contract.messages import FaceSeen, ForgetAsked
from models.contract.topics import Name
from models.errors import MalformedMessage
from models.ledger.events import Event, Requested, Ticked
from models.ledger.rows import SiteRow

__all__ = [
    "Happening",
    "Recording",
    "Saying",
    "concerns",
    "first_said",
    "read_saying",
    "without_template",
]


class Recording(Struct, frozen=True, kw_only=True):
    """What happenings are of. Those before `since` are there to know what counted then; they are the warm-up."""

    since: int
    """milliseconds since 1970, of the first happening that is asked for"""
    until: int
    """all happened before this"""
    first: dict[int, int]
    """the offset from which each partition was read; from 0 on nothing is missing"""
    settings: dict[int, dict[Name, SiteRow]] = {}
    """By partition: how its sites worked before the first happening."""
    guessed: tuple[Name, ...] = ()
    """Of these it is not known any more; `settings` tells how they worked later."""
    sites: tuple[Name, ...] = ()
    """only these; (): all"""
    devices: tuple[Name, ...] = ()
    """only these; (): all"""
    with_templates: bool = False


class Happening(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event, and what the decider said of it."""

    partition: int
    offset: int
    at: int
    """the partition's time, milliseconds since 1970: the latest append time up to here"""
    event: Event
    said: tuple[Raw, ...] = ()
    """Outcomes as Kafka has them, byte for byte: of `fairroll.decisions` and `fairroll.receipts`, repetitions apart."""


class Saying(Struct, frozen=True):
    """What of an outcome tells where it belongs, whatever version wrote it."""

    offset: int
    kind: str
    site: str = ""


_saying: msgspec.json.Decoder[Saying] = msgspec.json.Decoder(Saying)


def read_saying(value: bytes) -> Saying:
    """Raises MalformedMessage where it is no outcome."""
    try:
        return _saying.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedMessage(f"no outcome: {error}"[:300]) from None


def first_said(sayings: Iterable[tuple[Saying, bytes]]) -> tuple[Raw, ...]:
    """What was said of an event when it was decided; a redelivery was answered after that, and alike."""
    first: dict[tuple[str, str], bytes] = {}
    for saying, value in sayings:
        first.setdefault((saying.kind, saying.site), value)
    return tuple(Raw(value) for value in first.values())


def without_template(event: Requested) -> Requested:
    """The request with nothing that is or was a template."""
    request = event.request
    if isinstance(request, FaceSeen | ForgetAsked):
        request = structs.replace(request, template=None)
    return structs.replace(event, request=request, sealed=None)


def concerns(event: Event, sites: Sequence[str], devices: Sequence[str]) -> bool:
    """Whether a filter lets an event pass; what is not of a site, or of no device, concerns all of them."""
    if isinstance(event, Ticked):
        return True
    device = getattr(event, "device", None)
    return (not sites or event.site in sites) and (not devices or device is None or device in devices)
