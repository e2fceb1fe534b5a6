"""What InfluxDB answers to a statement, as Grafana's data source takes it: series with tags and columns. Pure."""

from typing import Any

from msgspec import Struct

__all__ = ["Answer", "Refused", "Series"]


class Series(Struct, frozen=True, kw_only=True):
    """Rows of one group. Of a SELECT the first column is `time`, in milliseconds since 1970."""

    name: str = ""
    """the measurement's"""
    tags: dict[str, str] = {}
    columns: list[str]
    values: list[list[Any]]

    def of(self, column: str) -> list[Any]:
        """The values of a column that are there."""
        place = self.columns.index(column)
        return [row[place] for row in self.values if row[place] is not None]


class Refused(Struct, frozen=True):
    """InfluxDB cannot answer the statement."""

    why: str


Answer = list[Series] | Refused
