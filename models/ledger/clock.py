"""A partition's clock: the watermark, which is set back after a broker's clock was ahead.

Append times of one partition come from one broker at a time, and brokers' clocks differ by less than a second when
they are synchronised. So a time a little behind the watermark is ignored. One that is more than a minute behind means
that the watermark lies in the future: it is set back, and what was recorded in that future counts from the correction.
"""

from typing import NamedTuple

from msgspec import structs

from models.ledger.rows import (
    Correction,
    DispenserAccount,
    Entry,
    PartitionRow,
    Remembered,
    Row,
    Settlement,
    SiteRow,
    VisitorAccount,
)

__all__ = ["Clock", "watermark"]

_TOLERANCE_MS = 60_000
_MOST_CORRECTIONS = 16


def watermark(known: int, at: int) -> int:
    """Return the partition's time after an append time, both in milliseconds since 1970."""
    return at if at < known - _TOLERANCE_MS else max(known, at)


class Clock(NamedTuple):
    """The partition's time and how often it was set back. Rows carry both, so a rebuild knows them."""

    at: int = 0
    """milliseconds since 1970"""
    corrections: tuple[Correction, ...] = ()
    """the latest last; their times ascend"""

    def seeing(self, offset: int, at: int) -> "Clock":
        """Return the clock after the append time of the next record."""
        now = watermark(self.at, at)
        if now >= self.at:
            return Clock(now, self.corrections)
        earlier = tuple(known for known in self.corrections if known.at < now)  # this one covers the others
        number = self.corrections[-1].number + 1 if self.corrections else 1
        return Clock(now, _thinned((*earlier, Correction(offset, now, number))))

    def corrected(self, row: Row) -> Row:
        """Return the row with all times at most those of the corrections after it."""
        limit = min((known.at for known in self.corrections if known.offset > row.offset), default=None)
        if limit is None:
            return row
        match row:
            case VisitorAccount():
                return structs.replace(row, entries=tuple(_entry_up_to(limit, entry) for entry in row.entries))
            case DispenserAccount():
                return structs.replace(row, entries=_up_to(limit, row.entries))
            case SiteRow():
                return structs.replace(row, floor=min(row.floor, limit - 1), epoch_at=min(row.epoch_at, limit))
            case PartitionRow():
                return row


def _thinned(corrections: tuple[Correction, ...]) -> tuple[Correction, ...]:
    """If there are too many, join the two that are nearest in time; the earlier one then holds for both."""
    if len(corrections) <= _MOST_CORRECTIONS:
        return corrections
    nearest = min(range(1, len(corrections)), key=lambda n: corrections[n].at - corrections[n - 1].at)
    joined = structs.replace(corrections[nearest], at=corrections[nearest - 1].at)
    return (*corrections[: nearest - 1], joined, *corrections[nearest + 1 :])


def _up_to(limit: int, entries: Remembered) -> Remembered:
    return tuple(
        _entry_up_to(limit, item) if isinstance(item, Entry) else _settlement_up_to(limit, item) for item in entries
    )


def _entry_up_to(limit: int, entry: Entry) -> Entry:
    return entry if entry.at <= limit else structs.replace(entry, at=limit)


def _settlement_up_to(limit: int, settlement: Settlement) -> Settlement:
    granted_at = None if settlement.granted_at is None else min(settlement.granted_at, limit)
    return structs.replace(settlement, at=min(settlement.at, limit), granted_at=granted_at)
