"""The archive of a recording as lines of JSON, each with a link of a chain: the hash of all lines up to its own.

The first line is the header, the last the trailer, each line between them a happening. The chain tells damage and
whoever edits a line; against someone who writes the whole file anew, compare the hash with the one that was told when
it was recorded.
"""

import hashlib
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from models.errors import FairrollError
from models.replay.recording import Happening, Recording

__all__ = ["VERSION", "Chain", "Header", "Trailer", "UnusableArchive", "read_happening", "read_header"]

VERSION: Final = 1
_LINK: Final = 16
"""hex digits of each line's link; the trailer has the whole hash"""
_BEFORE, _AFTER = b',"chain":"', b'"}\n'
_TAIL: Final = len(_BEFORE) + _LINK + len(_AFTER)


class UnusableArchive(FairrollError):
    """The archive is damaged, foreign or too new; the text names the place. Nothing of it was replayed."""


class Header(Struct, frozen=True, kw_only=True):
    """What an archive is of."""

    archive: Annotated[int, Meta(ge=1)] = VERSION
    """the version of this format"""
    made_by: str
    made_at: int
    """milliseconds since 1970"""
    pipeline: str
    """`pipeline_id` of the pipeline that was recorded"""
    recording: Recording


class Trailer(Struct, frozen=True, kw_only=True):
    """What only the end can tell."""

    happenings: int
    unreadable: int
    """events that nobody could read; they are left out, since a template could hide in them"""
    sha256: str
    """of the chain up to here"""


class _Format(Struct, frozen=True):
    archive: int


_format: msgspec.json.Decoder[_Format] = msgspec.json.Decoder(_Format)
_header: msgspec.json.Decoder[Header] = msgspec.json.Decoder(Header)
_happening: msgspec.json.Decoder[Happening] = msgspec.json.Decoder(Happening)
_trailer: msgspec.json.Decoder[Trailer] = msgspec.json.Decoder(Trailer)


class Chain:
    """Links lines, and checks the links of lines. `place` names a line for a person."""

    def __init__(self) -> None:
        self._digest = b""
        self._lines = 0

    @property
    def sha256(self) -> str:
        return self._digest.hex()

    @property
    def place(self) -> str:
        """The line that comes next."""
        return f"record {self._lines}" if self._lines else "the header"

    def link(self, body: bytes) -> bytes:
        """Make a line of a JSON object that is not empty."""
        self._add(body)
        return b"".join((body[:-1], _BEFORE, self.sha256[:_LINK].encode(), _AFTER))

    def check(self, line: bytes) -> bytes:
        """The JSON object of a line. Raises UnusableArchive where it is not the one that was linked."""
        place, body = self.place, line[:-_TAIL] + b"}"
        self._add(body)
        if line[-_TAIL:] != b"".join((_BEFORE, self.sha256[:_LINK].encode(), _AFTER)):
            what = "is not what was recorded" if line.endswith(b"\n") else "is cut off: the archive is truncated there"
            raise UnusableArchive(f"{place} {what}")
        return body

    def _add(self, body: bytes) -> None:
        self._digest = hashlib.sha256(self._digest + body).digest()
        self._lines += 1


def read_header(line: bytes, chain: Chain) -> Header:
    """Raises UnusableArchive for what is no archive, or one of a version that this one does not know."""
    try:
        version = _format.decode(line).archive
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UnusableArchive("it does not begin with the header of a fairroll archive") from None
    if version > VERSION:
        raise UnusableArchive(f"the header says version {version}, made by a newer fairroll: this one reads {VERSION}")
    try:
        return _header.decode(chain.check(line))
    except msgspec.DecodeError as error:
        raise UnusableArchive(f"the header cannot be read: {error}") from None


def read_happening(line: bytes, chain: Chain) -> Happening | Trailer:
    """Read a line after the header. Raises UnusableArchive naming the record."""
    place = chain.place
    body = chain.check(line)
    try:
        if body.startswith(b'{"happenings"'):
            return _trailer.decode(body)
        return _happening.decode(body)
    except msgspec.DecodeError as error:
        raise UnusableArchive(f"{place} cannot be read: {error}") from None
