"""Compares the controls that the MQTT broker should retain with those that it retains. Pure.

Kafka is authoritative. The broker may retain another control: it lost or restored its file, another egress lagged, or
another client published there. `now` is monotonic seconds.
"""

import math
from typing import Final, NamedTuple

__all__ = ["Publication", "Retained"]

_SETTLES_S: Final = 2.0
"""How long after its publication a control may seem to be missing, since what the broker held before is received first.
It also bounds how often two publishers that disagree overwrite each other."""


class Publication(NamedTuple):
    """A control to publish, retained."""

    site: str
    payload: bytes
    """empty: nothing is to be retained"""
    is_repair: bool
    """nothing changed in Kafka: the broker retains a wrong control"""


class _Published(NamedTuple):
    payload: bytes
    at: float


_NEVER: Final = _Published(b"", -math.inf)


class Retained:
    """The wanted and the retained controls, on one connection to the broker."""

    def __init__(self) -> None:
        self._wanted: dict[str, bytes | None] = {}
        self._found: dict[str, bytes] = {}
        self._published: dict[str, _Published] = {}

    def want(self, site: str, payload: bytes | None) -> None:
        """Record the control in Kafka; empty if the site was removed, None if it cannot be read.

        An unreadable control is left to an egress that can read it. A site that is not in Kafka has no control.
        """
        self._wanted[site] = payload

    def find(self, site: str, payload: bytes) -> None:
        """Record what the broker retains."""
        self._found[site] = payload

    def due(self, now: float) -> list[Publication]:
        """Return the publications that are due."""
        self._forget_strangers(now)
        sites = sorted(self._wanted.keys() | self._found.keys())
        return [publication for site in sites if (publication := self._publication(site, now))]

    def publish(self, publication: Publication, now: float) -> None:
        """Record the PUBACK of a publication."""
        self._found[publication.site] = publication.payload
        self._published[publication.site] = _Published(publication.payload, now)

    def _forget_strangers(self, now: float) -> None:
        """Drop withdrawn controls of sites that Kafka never had, so that memory stays bounded."""
        for site in self._found.keys() - self._wanted.keys():
            if not self._found[site] and now - self._published.get(site, _NEVER).at >= _SETTLES_S:
                del self._found[site]
                self._published.pop(site, None)

    def _publication(self, site: str, now: float) -> Publication | None:
        wanted, found = self._wanted.get(site, b""), self._found.get(site)
        if wanted is None or wanted == found or (found is None and not wanted):
            return None
        last = self._published.get(site)
        if last is None or last.payload != wanted:
            return Publication(site, wanted, is_repair=site not in self._wanted)
        return Publication(site, wanted, is_repair=True) if now - last.at >= _SETTLES_S else None
