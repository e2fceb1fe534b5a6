"""The newest record of each site in a compacted topic: its control, its registration. Pure.

A record carries the revision of the event that it comes from, and so does a tombstone, in a header, since it has no
value. So not the last record of a site counts but the one with the highest revision: a decider that lost its partition
may write late.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from models.contract.codec import decode, decode_control, encode
from models.contract.messages import Control, Revision
from models.contract.topics import NAME_PATTERN
from models.errors import MalformedMessage

__all__ = ["Controls", "Headers", "SiteRecords", "revision_header", "site_of_key"]

Headers = Sequence[tuple[str, bytes]]

_UNNUMBERED: Final = Revision(0, 0)
_REVISION: Final = "revision"
_revision: msgspec.json.Decoder[Revision] = msgspec.json.Decoder(Revision)


class _OfSite(Protocol):
    @property
    def site(self) -> str: ...

    @property
    def revision(self) -> Revision: ...


_T = TypeVar("_T", bound=_OfSite)


class _Newest(NamedTuple, Generic[_T]):
    value: _T | None
    """None: the site was removed"""
    revision: Revision


class SiteRecords(Mapping[str, _T | None], Generic[_T]):
    """By site; None where the site was removed."""

    def __init__(self, read: Callable[[bytes], _T]) -> None:
        """`read` decodes a value, and raises MalformedMessage for one that it cannot read."""
        self._read = read
        self._sites: dict[str, _Newest[_T]] = {}

    def take(self, key: bytes | None, value: bytes | None, headers: Headers = ()) -> str | None:
        """Take a record, in the order of its partition; returns its site, or None for a record that is outdated.

        A tombstone without a revision removes what was there before it. Raises MalformedMessage for an unreadable one.
        """
        site = site_of_key(key)
        known = self._sites.get(site, _Newest(None, _UNNUMBERED))
        found = self._record(site, value) if value else _Newest(None, _revision_of(headers) or known.revision)
        if _is_outdated(found, known):
            return None
        self._sites[site] = found
        return site

    def revision(self, site: str) -> Revision:
        """Return the revision of the site's newest record, a removal included."""
        return self._sites[site].revision

    def _record(self, site: str, value: bytes) -> _Newest[_T]:
        found = self._read(value)
        if found.site != site:
            raise MalformedMessage(f"it names another site than its key: {found.site}")
        return _Newest(found, found.revision)

    def __getitem__(self, site: str) -> _T | None:
        return self._sites[site].value

    def __iter__(self) -> Iterator[str]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)


class Controls(SiteRecords[Control]):
    """The newest control of each site."""

    def __init__(self) -> None:
        super().__init__(decode_control)


def revision_header(revision: Revision) -> tuple[str, bytes]:
    """Return the header of a tombstone."""
    return (_REVISION, encode(revision))


def site_of_key(key: bytes | None) -> str:
    """Return the site of a record's key; raises MalformedMessage where it is none."""
    site = (key or b"").decode(errors="replace")
    if not re.match(NAME_PATTERN, site):
        raise MalformedMessage("its key is no name of a site")
    return site


def _is_outdated(found: _Newest[_T], known: _Newest[_T]) -> bool:
    """A removed site comes back with a higher revision only."""
    if known.value is None and found.value is not None and known.revision != _UNNUMBERED:
        return found.revision <= known.revision
    return found.revision < known.revision


def _revision_of(headers: Headers) -> Revision | None:
    for name, value in headers:
        if name == _REVISION:
            return decode(_revision, value)
    return None
