"""The newest control of each site, from the records of the controls topic. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from models.contract.codec import decode_control
from models.contract.messages import Control, Revision
from models.contract.topics import NAME_PATTERN
from models.errors import MalformedMessage

__all__ = ["Controls", "site_of_key"]

_UNNUMBERED: Final = Revision(0, 0)


class _Known(NamedTuple):
    control: Control | None
    """None: the site was removed"""
    revision: Revision
    """of the newest control that the site ever had"""

    def is_newer_than(self, control: Control) -> bool:
        """Whether a control is outdated. A removed site comes back with a higher revision only."""
        if self.control is None and self.revision != _UNNUMBERED:
            return control.revision <= self.revision
        return control.revision < self.revision


class Controls(Mapping[str, Control | None]):
    """The newest control of each site; None if the site was removed.

    The control with the highest revision counts, not the last record: a decider that lost its partition may write late.
    """

    def __init__(self) -> None:
        self._sites: dict[str, _Known] = {}

    def take(self, key: bytes | None, value: bytes | None) -> str | None:
        """Apply a record, in the order of its partition; return its site, or None for an outdated record.

        A record without a value removes its site. Raises MalformedMessage for an unreadable record.
        """
        site = site_of_key(key)
        known = self._sites.get(site, _Known(None, _UNNUMBERED))
        if not value:
            self._sites[site] = _Known(None, known.revision)
            return site
        control = decode_control(value)
        if control.site != site:
            raise MalformedMessage(f"it names another site than its key: {control.site}")
        if known.is_newer_than(control):
            return None
        self._sites[site] = _Known(control, control.revision)
        return site

    def __getitem__(self, site: str) -> Control | None:
        return self._sites[site].control

    def __iter__(self) -> Iterator[str]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)


def site_of_key(key: bytes | None) -> str:
    """Return the site of a record's key; raises MalformedMessage if the key is invalid."""
    site = (key or b"").decode(errors="replace")
    if not re.match(NAME_PATTERN, site):
        raise MalformedMessage("its key is no name of a site")
    return site
