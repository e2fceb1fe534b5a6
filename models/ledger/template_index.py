"""Who is it? An exact search over a site's live templates, and the pseudonym of someone new."""

import base64
import hashlib
import hmac
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.contract.messages import TEMPLATE_BYTES

__all__ = ["TEMPLATE_BITS", "Match", "TemplateIndex", "pseudonym", "site_secret"]

TEMPLATE_BITS = 8 * TEMPLATE_BYTES
_WORDS = TEMPLATE_BYTES // 8
_FIRST_CAPACITY = 64


class Match(NamedTuple):
    """The nearest live template: whose it is, and how many of 512 bits are equal."""

    score: int
    key: str


class TemplateIndex:
    """Templates of one site, model and epoch as a packed binary matrix, searched by popcount.

    Rows are dense: an eviction moves the last row into the gap, so that inserting and evicting cost the same
    whatever the crowd.
    """

    def __init__(self) -> None:
        self._bits: NDArray[np.uint64] = np.zeros((_FIRST_CAPACITY, _WORDS), np.uint64)
        self._captured: NDArray[np.int64] = np.zeros(_FIRST_CAPACITY, np.int64)
        self._keys: list[str] = []
        self._row: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def put(self, key: str, template: bytes, captured: int) -> None:
        """Insert or replace the template of `key`, captured at a time in milliseconds."""
        row = self._row.get(key)
        if row is None:
            row = self._append(key)
        self._bits[row] = np.frombuffer(template, np.uint64)
        self._captured[row] = captured

    def discard(self, key: str) -> None:
        """Evict the template of `key`, if there is one, and overwrite its bits."""
        row = self._row.pop(key, None)
        if row is None:
            return
        last = len(self._keys) - 1
        moved = self._keys.pop()
        if row != last:
            self._bits[row], self._captured[row] = self._bits[last], self._captured[last]
            self._keys[row], self._row[moved] = moved, row
        self._bits[last] = 0

    def live(self, horizon: int) -> NDArray[np.int64]:
        """Capture times, milliseconds, of the templates captured after `horizon`."""
        captured = self._captured[: len(self._keys)]
        return captured[captured > horizon]

    def nearest(self, template: bytes, horizon: int) -> Match | None:
        """Find the most similar template captured after `horizon`; of equals the least key, whatever the order."""
        scores = self._scores(template, horizon)
        if not len(scores) or (best := int(scores.max())) < 0:
            return None
        return Match(best, min(self._keys[row] for row in np.flatnonzero(scores == best)))

    def within(self, template: bytes, horizon: int, at_least: int) -> list[Match]:
        """Find every template captured after `horizon` with `at_least` equal bits, best first."""
        scores = self._scores(template, horizon)
        matches = [Match(int(scores[row]), self._keys[row]) for row in np.flatnonzero(scores >= at_least)]
        return sorted(matches, key=lambda match: (-match.score, match.key))

    def _scores(self, template: bytes, horizon: int) -> NDArray[np.int64]:
        """Equal bits of each row, -1 where the row is too old."""
        size = len(self._keys)
        different = np.bitwise_count(self._bits[:size] ^ np.frombuffer(template, np.uint64)).sum(axis=1, dtype=np.int64)
        return np.where(self._captured[:size] > horizon, TEMPLATE_BITS - different, -1)

    def _append(self, key: str) -> int:
        row = len(self._keys)
        if row == len(self._bits):
            self._bits = np.concatenate([self._bits, np.zeros_like(self._bits)])
            self._captured = np.concatenate([self._captured, np.zeros_like(self._captured)])
        self._keys.append(key)
        self._row[key] = row
        return row


def site_secret(pipeline_secret: bytes, site: str) -> bytes:
    """Give the secret from which a site's pseudonyms are made (HMAC-SHA256, RFC 2104)."""
    return hmac.digest(pipeline_secret, b"fairroll site " + site.encode(), hashlib.sha256)


def pseudonym(secret: bytes, device: str, request_id: str, offset: int) -> str:
    """Name someone new after the request that brought them: 80 bits of HMAC-SHA256, 16 characters.

    The offset keeps two people apart whose dispensers chose the same id, or one that used an id again.
    """
    digest = hmac.digest(secret, f"{device}/{request_id}/{offset}".encode(), hashlib.sha256)
    return base64.b32encode(digest[:10]).decode().lower()
