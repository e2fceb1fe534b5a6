"""Rows in the order in which they expire."""

from bisect import bisect_left, insort

__all__ = ["Expiry"]


class Expiry:
    """Keys by the time of their newest entry; finding expired ones needs no scan."""

    __slots__ = ("_order", "_times")

    def __init__(self) -> None:
        self._times: dict[str, int] = {}
        self._order: list[tuple[int, str]] = []

    def put(self, key: str, at: int) -> None:
        """Insert or move a key; `at`, milliseconds, is when the newest of its contents happened."""
        if self._times.get(key) != at:
            self.discard(key)
            self._times[key] = at
            insort(self._order, (at, key))

    def discard(self, key: str) -> None:
        """Remove a key, if it is there."""
        at = self._times.pop(key, None)
        if at is not None:
            del self._order[bisect_left(self._order, (at, key))]

    def expired(self, horizon: int) -> list[str]:
        """Return the keys whose newest entry is at or before `horizon`."""
        return [key for _, key in self._order[: self._index(horizon)]]

    def count_live(self, horizon: int) -> int:
        """Count the keys with an entry after `horizon`."""
        return len(self._order) - self._index(horizon)

    def _index(self, horizon: int) -> int:
        return bisect_left(self._order, (horizon + 1,))
