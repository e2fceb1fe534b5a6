"""What a part of the bench measures: rows of one unit, a value a turn, compared within one run."""

from statistics import median

from msgspec import Struct

__all__ = ["Part", "Row"]


class Row(Struct, frozen=True):
    """One thing, measured once a turn."""

    name: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)


class Part(Struct, frozen=True):
    """Rows that are measured in turns of one run, so that their ratios hold though the machine changes its pace."""

    name: str
    """of the part and of what is measured in it: `drain`, `latency p50 at 50/s`"""
    title: str
    unit: str
    rows: tuple[Row, ...] = ()
    base: str = ""
    """the row that the others are compared with"""
    note: str = ""
    """what exactly is compared, or why nothing was measured"""

    def ratios(self, row: Row) -> tuple[float, ...]:
        """A row's values to those of the base in the same turn; empty without a base."""
        bases = [other.values for other in self.rows if other.name == self.base]
        return tuple(value / base for value, base in zip(row.values, bases[0], strict=True) if base) if bases else ()
