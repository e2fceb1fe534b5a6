"""The rows of one dispenser: a busy one has several."""

from bisect import bisect_left, insort

__all__ = ["DispenserRows"]


class DispenserRows:
    """Numbers of the rows with their offsets; finding the last ones needs no scan."""

    __slots__ = ("_newest", "_offsets", "_parts")

    def __init__(self) -> None:
        self._parts: list[int] = []
        self._offsets: dict[int, int] = {}
        self._newest: int | None = None

    @property
    def last(self) -> int:
        """The number of the row that takes the next entry; 0 before the first."""
        return self._parts[-1] if self._parts else 0

    @property
    def newest(self) -> int | None:
        """The number of the row that was written last."""
        return self._newest

    def put(self, part: int, offset: int) -> None:
        """Insert or replace the row that the event at `offset` wrote."""
        if part not in self._offsets:
            insort(self._parts, part)
        self._offsets[part] = offset
        if self._newest is None or self._offsets[self._newest] <= offset:
            self._newest = part

    def remove(self, part: int) -> None:
        """Remove a row."""
        del self._parts[bisect_left(self._parts, part)], self._offsets[part]
        if self._newest == part:
            self._newest = max(self._offsets, key=self._offsets.__getitem__, default=None)
