"""Grafana's interpolation of query variables, for queries that run without Grafana. Pure."""

import re
from collections.abc import Mapping, Sequence

__all__ = ["ALL", "interpolated"]

ALL = ".*"
"""The value of a variable of several values of which none was chosen."""


def interpolated(
    query: str, since_ms: int, until_ms: int, *, interval: str = "1m", chosen: Mapping[str, str | Sequence[str]]
) -> str:
    """The statement for a time range, milliseconds since 1970; `chosen` has the values of the template variables.

    A variable as `${name:regex}` becomes one value or several between bars, escaped, or ALL as it is; as `$name` the
    text that was typed. KeyError for a variable without a value.
    """
    times = f"time >= {since_ms}ms and time <= {until_ms}ms"
    query = query.replace("$timeFilter", times).replace("$__interval", interval)
    query = query.replace("${__from}", str(since_ms)).replace("${__to}", str(until_ms))
    query = re.sub(r"\$\{(\w+):regex\}", lambda found: _regex(chosen[found[1]]), query)
    return re.sub(r"\$(\w+)", lambda found: str(chosen[found[1]]), query)


def _regex(chosen: str | Sequence[str]) -> str:
    if isinstance(chosen, str):
        return chosen if chosen == ALL else re.escape(chosen)
    return f"({'|'.join(map(re.escape, chosen))})"
