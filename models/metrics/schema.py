"""Measurements with their tags and fields, and their points in line protocol. Pure.

`catalogue.py` next to this file lists all of them; docs, sink, downsampling and dashboards take their names from it.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

__all__ = ["Field", "Kept", "Measurement", "Reader", "Tag", "Unit", "Value"]

Value = int | float | bool | str
Kind = Literal["integer", "float", "boolean", "string"]
"""A field's type in InfluxDB, which refuses a second one under the same name."""
Unit = Literal["", "cm", "ms", "s", "bytes", "percent", "bits"]
Reader = Literal["analyst", "attendant", "operator", "privacy officer"]
Kept = Literal["event", "period", "sample"]
"""Where a point comes from: one record of Kafka, a closed period's sums, a sample of running processes."""
Hourly = Literal["sum", "mean", "max", "min"]
"""The aggregate of an hour when it is downsampled."""


class Tag(Struct, frozen=True, kw_only=True):
    """A dimension. Its values are few, or names chosen by the operator: no data of a visitor fits in."""

    name: str
    meaning: str
    values: frozenset[str] | None = None
    """all possible values; None: names from the operator's files and settings"""


class Field(Struct, frozen=True, kw_only=True):
    """A value of a point."""

    name: str
    kind: Kind
    meaning: str
    unit: Unit = ""
    hourly: Hourly | None = None
    """None: raw points only"""

    def text(self, value: Value) -> str:
        """The value in line protocol; raises TypeError for one of another type."""
        match self.kind, value:
            case "boolean", bool():
                return "true" if value else "false"
            case _, bool():
                pass
            case "integer", int():
                return f"{value}i"
            case "float", int() | float():
                return repr(float(value))
            case "string", str():
                escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
                return f'"{escaped}"'
        raise TypeError(f"{self.name} is no {self.kind}: {type(value).__name__}")


class Measurement(Struct, frozen=True, kw_only=True):
    """A table of points. `measurement["cm"]` is its field; KeyError for a name that it does not have."""

    name: str
    kept: Kept
    meaning: str
    readers: tuple[Reader, ...]
    tags: tuple[Tag, ...]
    fields: tuple[Field, ...]

    def __getitem__(self, name: str) -> Field:
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"{self.name} has no field {name}")

    def line(self, at_ns: int, tags: Mapping[str, str | None], fields: Mapping[str, Value | None]) -> str:
        """Return a point in line protocol, at nanoseconds since 1970; None values are left out.

        Raises KeyError or ValueError for an unknown tag, value of a tag or field.
        """
        if unknown := tags.keys() - {tag.name for tag in self.tags}:
            raise KeyError(f"{self.name} has no tag {', '.join(sorted(unknown))}")
        dimensions = [_dimension(tag, value) for tag in self.tags if (value := tags.get(tag.name))]
        values = [f"{name}={self[name].text(value)}" for name, value in fields.items() if value is not None]
        return f"{','.join([self.name, *dimensions])} {','.join(values)} {at_ns}"


def _dimension(tag: Tag, value: str) -> str:
    if tag.values is not None and value not in tag.values:
        raise ValueError(f"{value!r} is no value of the tag {tag.name}")
    return f"{tag.name}={_escaped(value)}"


def _escaped(name: str) -> str:
    """A tag's value in line protocol."""
    for special in ("\\", ",", "=", " "):
        name = name.replace(special, f"\\{special}")
    return name.replace("\n", "\\n")
