"""The archive of a recording: lines of JSON, linked by a hash chain.

The first line is the header, the last the trailer, each line between them a recorded event. Every line ends with the
first hex digits of the SHA-256 of the previous hash and the line. The chain detects damage and edited lines; to detect
a file that was written again as a whole, compare its hash with the one that `fairroll record` printed.
"""

import hashlib
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from models.errors import FairrollError
from models.replay.recording import RecordedEvent, Recording

__all__ = ["VERSION", "HashChain", "Header", "Trailer", "UnusableArchive", "read_header", "read_line"]

VERSION: Final = 1
_LINK: Final = 16
"""hex digits of the hash at the end of each line; the trailer has all 64"""
_BEFORE, _AFTER = b',"chain":"', b'"}\n'
_TAIL: Final = len(_BEFORE) + _LINK + len(_AFTER)


class UnusableArchive(FairrollError):
    """The archive is damaged, foreign or of a newer version; the text names the record. Nothing of it was replayed."""


class Header(Struct, frozen=True, kw_only=True):
    """Where an archive comes from."""

    archive: Annotated[int, Meta(ge=1)] = VERSION
    """version of this format"""
    made_by: str
    made_at: int
    """milliseconds since 1970"""
    pipeline: str
    """`pipeline_id` of the recorded pipeline"""
    recording: Recording


class Trailer(Struct, frozen=True, kw_only=True):
    """Counts and hash of a complete archive."""

    events: int
    unreadable: int
    """events that could not be decoded; they are left out, since they could hold a template"""
    sha256: str
    """of the chain up to the trailer"""


class _Format(Struct, frozen=True):
    archive: int


_format: msgspec.json.Decoder[_Format] = msgspec.json.Decoder(_Format)
_header: msgspec.json.Decoder[Header] = msgspec.json.Decoder(Header)
_happening: msgspec.json.Decoder[RecordedEvent] = msgspec.json.Decoder(RecordedEvent)
_trailer: msgspec.json.Decoder[Trailer] = msgspec.json.Decoder(Trailer)


class HashChain:
    """Appends the hash to lines when writing and verifies it when reading."""

    def __init__(self) -> None:
        self._digest = b""
        self._lines = 0

    @property
    def sha256(self) -> str:
        return self._digest.hex()

    @property
    def place(self) -> str:
        """Name of the next line, for messages."""
        return f"record {self._lines}" if self._lines else "the header"

    def link(self, body: bytes) -> bytes:
        """Return the line of a non-empty JSON object."""
        self._add(body)
        return b"".join((body[:-1], _BEFORE, self.sha256[:_LINK].encode(), _AFTER))

    def check(self, line: bytes) -> bytes:
        """Return the JSON object of a line; raises UnusableArchive if its hash is wrong."""
        place, body = self.place, line[:-_TAIL] + b"}"
        self._add(body)
        if line[-_TAIL:] != b"".join((_BEFORE, self.sha256[:_LINK].encode(), _AFTER)):
            what = "is not what was recorded" if line.endswith(b"\n") else "is cut off: the archive is truncated there"
            raise UnusableArchive(f"{place} {what}")
        return body

    def _add(self, body: bytes) -> None:
        self._digest = hashlib.sha256(self._digest + body).digest()
        self._lines += 1


def read_header(line: bytes, chain: HashChain) -> Header:
    """Decode the header; raises UnusableArchive for another kind of file or a newer version."""
    try:
        version = _format.decode(line).archive
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UnusableArchive("it does not begin with the header of a fairroll archive") from None
    if version > VERSION:
        raise UnusableArchive(f"the header has version {version}, made by a newer fairroll: this one reads {VERSION}")
    try:
        return _header.decode(chain.check(line))
    except msgspec.DecodeError as error:
        raise UnusableArchive(f"the header cannot be read: {error}") from None


def read_line(line: bytes, chain: HashChain) -> RecordedEvent | Trailer:
    """Decode a line after the header; raises UnusableArchive naming the record."""
    place = chain.place
    body = chain.check(line)
    try:
        if body.startswith(b'{"events"'):
            return _trailer.decode(body)
        return _happening.decode(body)
    except msgspec.DecodeError as error:
        raise UnusableArchive(f"{place} cannot be read: {error}") from None
