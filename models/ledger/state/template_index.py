"""Exact search over a site's live templates."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Match", "TemplateIndex"]

_WORD_BITS = 64
_LEAST_CAPACITY = 64
_EXPIRED = 2**16 - 1
"""the distance of a template that matches nothing any more"""


class Match(NamedTuple):
    """A live template: the key of its account, and the number of equal bits."""

    score: int
    key: str


class TemplateIndex:
    """Templates of one site, model and epoch as a packed binary matrix, searched by popcount.

    One column a template, one row a word, so that each step of a search reads contiguous memory and writes into
    buffers that are kept. Columns are dense: an eviction moves the last one into the gap, so that inserting and
    evicting cost the same for any number of templates.
    """

    def __init__(self, bits: int) -> None:
        """`bits` is the length of each template, a multiple of 64."""
        self._template_bits, self._words = bits, bits // _WORD_BITS
        self._keys: list[str] = []
        self._column: dict[str, int] = {}
        self._bits: NDArray[np.uint64] = np.zeros((self._words, 0), np.uint64)
        self._captured: NDArray[np.int64] = np.zeros(0, np.int64)
        self._resize(_LEAST_CAPACITY)

    def __len__(self) -> int:
        return len(self._keys)

    def put(self, key: str, template: bytes, captured: int) -> None:
        """Insert or replace the template of `key`, captured at a time in milliseconds."""
        column = self._column.get(key)
        if column is None:
            column = self._append(key)
        self._bits[:, column] = np.frombuffer(template, np.uint64)
        self._captured[column] = captured

    def discard(self, key: str) -> None:
        """Evict the template of `key`, if there is one, and overwrite its bits."""
        column = self._column.pop(key, None)
        if column is None:
            return
        last = len(self._keys) - 1
        moved = self._keys.pop()
        if column != last:
            self._bits[:, column], self._captured[column] = self._bits[:, last], self._captured[last]
            self._keys[column], self._column[moved] = moved, column
        self._bits[:, last] = 0
        self._different[:, column] = self._different[:, last] = 0
        if 4 * last < self._bits.shape[1] > _LEAST_CAPACITY:
            self._resize(self._bits.shape[1] // 2)

    def count(self, horizon: int) -> int:
        """Count the templates captured after `horizon`."""
        return int(np.count_nonzero(self._captured[: len(self._keys)] > horizon))

    def oldest(self, horizon: int) -> int | None:
        """Return when the oldest of the templates captured after `horizon` was captured, milliseconds."""
        captured = self._captured[: len(self._keys)]
        live = captured[captured > horizon]
        return int(live.min()) if len(live) else None

    def nearest(self, template: bytes, horizon: int) -> Match | None:
        """Find the most similar template captured after `horizon`; of equals the least key, whatever the order."""
        distances = self._distances(template, horizon)
        if not len(distances) or (best := int(distances[distances.argmin()])) == _EXPIRED:
            return None
        [columns] = (distances == best).nonzero()
        return Match(self._template_bits - best, min(self._keys[column] for column in columns))

    def within(self, template: bytes, horizon: int, at_least: int) -> list[Match]:
        """Find every template captured after `horizon` with `at_least` equal bits, best first."""
        distances = self._distances(template, horizon)
        [columns] = (distances <= self._template_bits - at_least).nonzero()
        matches = [Match(self._template_bits - int(distances[column]), self._keys[column]) for column in columns]
        return sorted(matches, key=lambda match: (-match.score, match.key))

    def _distances(self, template: bytes, horizon: int) -> NDArray[np.uint16]:
        """Return the different bits of each column; the result is overwritten by the next search."""
        size = len(self._keys)
        different, counts = self._different[:, :size], self._counts[:, :size]
        distances, is_expired = self._distance[:size], self._is_expired[:size]
        np.bitwise_xor(self._bits[:, :size], np.frombuffer(template, np.uint64)[:, None], out=different)
        np.bitwise_count(different, out=counts)
        np.add.reduce(counts, axis=0, dtype=np.uint16, out=distances)
        np.less_equal(self._captured[:size], horizon, out=is_expired)
        if np.count_nonzero(is_expired):
            distances[is_expired] = _EXPIRED
        return distances

    def _append(self, key: str) -> int:
        column = len(self._keys)
        if column == self._bits.shape[1]:
            self._resize(2 * column)
        self._keys.append(key)
        self._column[key] = column
        return column

    def _resize(self, capacity: int) -> None:
        size = len(self._keys)
        bits, captured = np.zeros((self._words, capacity), np.uint64), np.zeros(capacity, np.int64)
        bits[:, :size], captured[:size] = self._bits[:, :size], self._captured[:size]
        self._bits.fill(0)
        self._bits, self._captured = bits, captured
        self._different: NDArray[np.uint64] = np.zeros((self._words, capacity), np.uint64)
        self._counts: NDArray[np.uint8] = np.zeros((self._words, capacity), np.uint8)
        self._distance: NDArray[np.uint16] = np.zeros(capacity, np.uint16)
        self._is_expired: NDArray[np.bool_] = np.zeros(capacity, np.bool_)
