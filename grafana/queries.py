"""InfluxQL out of the table of measurements: no name in a query that the table does not have. Pure.

Only what InfluxDB 1, 2 and 3 answer alike. The retention policy is always named: version 2 may take another as default.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

from models.metrics.schema import Measurement

__all__ = [
    "IN_RANGE",
    "POINTS",
    "SINCE_LAST_WORD",
    "Column",
    "Over",
    "Query",
    "Select",
    "each",
    "growth",
    "highest",
    "last",
    "lowest",
    "mean",
    "pace",
    "rise",
    "tag_values",
    "total",
]

POINTS = "autogen"
"""The retention policy of points as they came."""
Fill = Literal["", "0", "none", "null"]
"""What an interval without points shows: `null` a gap, `none` nothing, so that a line connects its neighbours."""
IN_RANGE = "$timeFilter"
SINCE_LAST_WORD = "time >= ${__from}ms - 30d AND time <= ${__to}ms"
"""For states that are published when they change: the state at the start of the range was published before it."""


@dataclass(frozen=True)
class Column:
    """A function of a field under a name, such as `sum({})`; without a function the field as it is."""

    field: str
    name: str
    function: str = ""

    def __str__(self) -> str:
        quoted = f'"{self.field}"'
        return f'{self.function.format(quoted) if self.function else quoted} AS "{self.name}"'


def total(field: str, name: str = "") -> Column:
    """All values together."""
    return Column(field, name or field, "sum({})")


def last(field: str, name: str = "") -> Column:
    """The newest."""
    return Column(field, name or field, "last({})")


def highest(field: str, name: str = "") -> Column:
    """The largest."""
    return Column(field, name or field, "max({})")


def lowest(field: str, name: str = "") -> Column:
    """The smallest."""
    return Column(field, name or field, "min({})")


def mean(field: str, name: str = "") -> Column:
    """The mean."""
    return Column(field, name or field, "mean({})")


def rise(field: str, name: str = "") -> Column:
    """From one point to the next."""
    return Column(field, name or field, "difference({})")


def growth(field: str, name: str = "") -> Column:
    """Increase of a counter between points; none at a counter reset."""
    return Column(field, name or field, "non_negative_difference({})")


def each(field: str, name: str = "") -> Column:
    """Every point; for a tag next to a field, its value."""
    return Column(field, name or field)


def pace(field: str, name: str = "") -> Column:
    """Growth of a counter a minute, from one interval to the next."""
    return Column(field, name or field, "non_negative_derivative(max({}), 1m)")


@dataclass(frozen=True)
class Select:
    """Columns of one measurement, by tags and, with `every`, by the dashboard's interval.

    `where` asks for one or more values of a tag. Constructing raises KeyError and ValueError for what the table of
    measurements does not have.
    """

    source: Measurement
    columns: Sequence[Column]
    _: KW_ONLY
    where: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    by: Sequence[str] = ()
    every: bool | str = False
    """by the dashboard's interval, or by one of its own such as 1h"""
    fill: Fill = ""
    policy: str = POINTS
    alias: str = ""
    """how Grafana names a series: `$tag_site`, `$col`"""
    times: str = IN_RANGE

    def __post_init__(self) -> None:
        tags = {tag.name: tag.values for tag in self.source.tags}
        for column in self.columns:
            if column.function or column.field not in tags:
                self.source[column.field]
        for name in (*self.by, *self.where):
            if name not in tags:
                raise KeyError(f"{self.source.name} has no tag {name}")
        for name, wanted in self.where.items():
            known = tags[name]
            if known is not None and (unknown := set(_values(wanted)) - known):
                raise ValueError(f"{self.source.name}.{name} is never {', '.join(sorted(unknown))}")
        _check_alias(self.alias, self.by)

    @property
    def names(self) -> frozenset[str]:
        """The columns of the answer, apart from time."""
        return frozenset({column.name for column in self.columns} | set(self.by))

    @property
    def is_sum(self) -> bool:
        """One row for each group, with a meaningless time; otherwise each row has its own time."""
        return not self.every and all(column.function for column in self.columns)

    def text(self, scope: Sequence[str] = ()) -> str:
        """The statement; `scope` names the template variables that bound the tags of their names."""
        bounded = [tag.name for tag in self.source.tags if tag.name in scope]
        conditions = [
            self.times,
            *(f'"{name}" =~ /^${{{name}:regex}}$/' for name in bounded),
            *(_condition(name, wanted) for name, wanted in self.where.items()),
        ]
        columns = ", ".join(map(str, self.columns))
        return (
            f'SELECT {columns} FROM "{self.policy}"."{self.source.name}" WHERE {" AND ".join(conditions)}'
            f"{_group_by(self.by, every=self.every)}{f' fill({self.fill})' if self.fill else ''}"
        )


@dataclass(frozen=True)
class Over:
    """Arithmetic on the columns of a Select: `names` to expressions over its quoted columns.

    With `every` the expressions aggregate by the dashboard's interval, and an interval without rows is a gap.
    """

    inner: Select
    expressions: Mapping[str, str]
    _: KW_ONLY
    where: str = ""
    by: Sequence[str] = ()
    every: bool = False
    alias: str = ""

    def __post_init__(self) -> None:
        used = set(re.findall(r'"(\w+)"', f"{self.where} {' '.join(self.expressions.values())}")) | set(self.by)
        if unknown := used - self.inner.names:
            raise KeyError(f"the inner query has no column {', '.join(sorted(unknown))}")
        _check_alias(self.alias, self.by)

    @property
    def names(self) -> frozenset[str]:
        """The columns of the answer, apart from time."""
        return frozenset(self.expressions.keys() | set(self.by))

    def text(self, scope: Sequence[str] = ()) -> str:
        """The statement."""
        columns = ", ".join(f'{expression} AS "{name}"' for name, expression in self.expressions.items())
        conditions = [*([self.where] if self.where else []), *([self.inner.times] if self.every else [])]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        groups = f"{_group_by(self.by, every=self.every)}{' fill(null)' if self.every else ''}"
        return f"SELECT {columns} FROM ({self.inner.text(scope)}){where}{groups}"


Query = Select | Over


def tag_values(source: Measurement, tag: str, scope: Sequence[str] = ()) -> str:
    """The statement that lists the values of a tag, for a template variable."""
    if tag not in {known.name for known in source.tags}:
        raise KeyError(f"{source.name} has no tag {tag}")
    where = " AND ".join(f'"{name}" =~ /^${{{name}:regex}}$/' for name in scope)
    return f'SHOW TAG VALUES FROM "{POINTS}"."{source.name}" WITH KEY = "{tag}"{f" WHERE {where}" if where else ""}'


def _check_alias(alias: str, by: Sequence[str]) -> None:
    """Raise KeyError for a tag by which the answer is not grouped: Grafana would show the text as it stands."""
    if unknown := set(re.findall(r"\$tag_(\w+)", alias)) - set(by):
        raise KeyError(f"the answer is not grouped by {', '.join(sorted(unknown))}")


def _values(wanted: str | Sequence[str]) -> Sequence[str]:
    return (wanted,) if isinstance(wanted, str) else wanted


def _condition(name: str, wanted: str | Sequence[str]) -> str:
    texts = [f"\"{name}\" = '{value}'" for value in _values(wanted)]
    return texts[0] if len(texts) == 1 else f"({' OR '.join(texts)})"


def _group_by(tags: Sequence[str], *, every: bool | str) -> str:
    interval = "$__interval" if every is True else every
    groups = [*([f"time({interval})"] if interval else []), *(f'"{tag}"' for tag in tags)]
    return f" GROUP BY {', '.join(groups)}" if groups else ""
