"""A decision: outcomes to publish, and the one row to write."""

from typing import NamedTuple

from msgspec import Struct

from models.ledger.outcomes import Outcome
from models.ledger.rows import PARTITION_KEY, PartitionRow, Row

__all__ = ["Decision", "Moment", "unchanged"]


class Moment(NamedTuple):
    """When and where in its partition an event is decided."""

    at: int
    """the partition's time, milliseconds since 1970: the latest append time seen"""
    offset: int
    horizon: int
    """what happened up to here does not count any more"""


class Decision(Struct, frozen=True, kw_only=True):
    """One row to write, with the offset of the event: the decision is stored completely or not at all.

    `removed` lists rows that count no more, so that they can be removed before it in any order, or again; only a tick
    has any. `row` is None for an event that was folded before; its answer is given again and nothing changes.
    """

    outcomes: tuple[Outcome, ...]
    removed: tuple[str, ...] = ()
    key: str = ""
    row: Row | None = None


def unchanged(moment: Moment, *outcomes: Outcome) -> Decision:
    """Return a decision that changes no account: the partition's row takes the offset of the event."""
    return Decision(outcomes=outcomes, key=PARTITION_KEY, row=PartitionRow(offset=moment.offset, at=moment.at))
