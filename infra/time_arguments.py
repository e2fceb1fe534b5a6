"""Command line arguments for times."""

import re
import time

import click

from infra.local_time import AmbiguousTime, parse_moment

__all__ = ["Moment", "Span"]

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Span(click.ParamType):
    """A number and a unit, in seconds."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if not (found := re.fullmatch(r"(\d{1,6})([smhd])", str(value))):
            self.fail(f"{value!r} is no time such as 90s, 30m, 1h or 7d", param, ctx)
        return int(found[1]) * _SECONDS[found[2]]


class Moment(click.ParamType):
    """An age, or an ISO 8601 time, local without an offset; in milliseconds since 1970.

    A local time that the clocks show twice or never is refused, with the times to write instead.
    """

    name = "time"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if found := re.fullmatch(r"(\d{1,6})([smhd])", value):
            return int((time.time() - int(found[1]) * _SECONDS[found[2]]) * 1000)
        try:
            return int(1000 * parse_moment(value))
        except AmbiguousTime as error:
            self.fail(str(error), param, ctx)
        except ValueError:
            self.fail(f"{value!r} is no time such as 90s, 30m, 1h, 7d or 2026-05-01T09:30+02:00", param, ctx)
