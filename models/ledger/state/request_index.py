"""Entries and settlements of each request, by dispenser and id, and the sums of each dispenser."""

from collections import defaultdict
from typing import NamedTuple

from models.ledger.rows import Entry, Remembered, Settlement, is_visitor_key
from models.ledger.state.dispenser_sums import DispenserSums

__all__ = ["RequestIndex"]


class _Known(NamedTuple):
    """Entries and settlements of one request, each with the key of its row.

    More than one entry or settlement exists only while an older one of a reused id has expired
    and waits for a tick. The latest is the same whatever the order in which rows were put.
    """

    entries: tuple[tuple[str, Entry], ...] = ()
    settlements: tuple[tuple[str, Settlement], ...] = ()

    @property
    def entry(self) -> tuple[str, Entry] | None:
        if len(self.entries) > 1:
            return max(self.entries, key=lambda held: (held[1].at, held[0]))
        return self.entries[0] if self.entries else None

    @property
    def settlement(self) -> tuple[str, Settlement] | None:
        if len(self.settlements) > 1:
            return max(self.settlements, key=lambda held: (held[1].at, held[1].offset))
        return self.settlements[0] if self.settlements else None

    def including(self, key: str, item: Entry | Settlement) -> "_Known":
        if isinstance(item, Entry):
            return _Known((*self.entries, (key, item)), self.settlements)
        return _Known(self.entries, (*self.settlements, (key, item)))

    def without(self, key: str, item: Entry | Settlement) -> "_Known":
        if isinstance(item, Entry):
            return _Known(tuple(held for held in self.entries if held != (key, item)), self.settlements)
        return _Known(self.entries, tuple(held for held in self.settlements if held != (key, item)))

    def charge(self, sums: DispenserSums, sign: int) -> None:
        """Add it to the sums of its dispenser (1), or subtract it (-1)."""
        key, entry = self.entry or ("", None)
        _, settlement = self.settlement or ("", None)
        sums.count(entry, settlement, is_visitors=is_visitor_key(key), sign=sign)


_UNKNOWN = _Known()


class RequestIndex:
    """Finds a request's entry and settlement, and keeps the sums. Two dispensers may choose the same request id."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], _Known] = {}
        self._sums: defaultdict[str, DispenserSums] = defaultdict(DispenserSums)

    def entry(self, device: str, request: str, horizon: int) -> tuple[str, Entry] | None:
        """Find a request's live entry and the key of the row that holds it."""
        found = self._known.get((device, request), _UNKNOWN).entry
        return found if found and found[1].at > horizon else None

    def settlement(self, device: str, request: str, horizon: int) -> tuple[str, Settlement] | None:
        """Return the live settlement of a request and the key of its row."""
        found = self._known.get((device, request), _UNKNOWN).settlement
        return found if found and found[1].at > horizon else None

    def sums(self, device: str) -> DispenserSums:
        """Return what counts against a dispenser's limits."""
        return self._sums[device] if device in self._sums else DispenserSums()

    def replace(self, key: str, before: Remembered, after: Remembered) -> None:
        """Replace the content of the row `key`: `before` by `after`."""
        kept = set(map(id, before)).intersection(map(id, after)) if before and after else ()
        for item in before:
            if id(item) not in kept:
                self._change(key, item, is_held=False)
        for item in after:
            if id(item) not in kept:
                self._change(key, item, is_held=True)

    def expire(self, horizon: int, device: str | None = None) -> None:
        """Drop expired amounts from the sums of a dispenser, or of all; it affects the cost, no result."""
        for sums in self._sums.values() if device is None else (self.sums(device),):
            sums.expire(horizon)

    def _change(self, key: str, item: Entry | Settlement, *, is_held: bool) -> None:
        request = (item.device, item.id if isinstance(item, Entry) else item.request)
        known, sums = self._known.get(request, _UNKNOWN), self._sums[item.device]
        if known is not _UNKNOWN:
            known.charge(sums, -1)
        now_known = known.including(key, item) if is_held else known.without(key, item)
        if now_known.entries or now_known.settlements:
            self._known[request] = now_known
            now_known.charge(sums, 1)
        else:
            del self._known[request]
