"""The result of an audit: places and findings. Pure."""

from typing import Literal

from msgspec import Struct

__all__ = ["CLEAN", "UNREAD", "VIOLATED", "Finding", "Kind", "Place", "Report", "Verdict"]

Kind = Literal[
    "template", "embedding", "picture", "key", "visitor", "sealed", "overdue", "unknown", "retained", "open to others"
]
"""The kinds of findings; docs/audit.md explains each."""
Verdict = Literal["clean", "violated", "unread", "skipped"]
"""`unread`: not read to the end, with the reason; never clean. `skipped`: by the operator's choice."""

CLEAN, VIOLATED, UNREAD = 0, 1, 2
"""exit codes"""


class Finding(Struct, frozen=True, kw_only=True):
    """Data at a place or of an age that is not allowed, identified by its hash."""

    place: str
    where: str
    """partition/offset, file:offset or topic"""
    kind: Kind
    what: str
    age_s: float | None = None
    sha256: str = ""
    """the first 12 hex digits"""


class Place(Struct, frozen=True, kw_only=True):
    """The result of one place."""

    name: str
    verdict: Verdict
    inspected: int = 0
    """records, messages, values, or pieces of files of a megabyte"""
    bytes: int = 0
    findings: int = 0
    oldest_s: float | None = None
    """age of the oldest thing that the age limit covers"""
    bound_s: float | None = None
    """the age limit"""
    live: int = 0
    """sealed templates that can be read, within their window"""
    oldest_readable_s: float | None = None
    """age of the oldest sealed template that can be read, allowed or not, by the minute of its seal"""
    noise: int = 0
    """sealed templates whose key is destroyed"""
    oldest_noise_s: float | None = None
    why: str = ""
    """why it was not read to the end; empty: it was"""


class Report(Struct, frozen=True, kw_only=True):
    """The result of an audit. All findings are counted; some of each place and kind are listed."""

    at: float
    """seconds since 1970"""
    took_s: float
    places: list[Place]
    findings: list[Finding]

    @property
    def count(self) -> int:
        return sum(place.findings for place in self.places)

    @property
    def unread(self) -> list[str]:
        """The names of the places that could not be read to the end."""
        return [place.name for place in self.places if place.verdict == "unread" or place.why]

    @property
    def oldest_s(self) -> float:
        """Age of the oldest sealed template that can be read, 0 without any."""
        return max((place.oldest_readable_s or 0.0 for place in self.places), default=0.0)

    @property
    def exit_code(self) -> int:
        """The exit code; a violation takes precedence over unread places."""
        return VIOLATED if self.count else UNREAD if self.unread else CLEAN
