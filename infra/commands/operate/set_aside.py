"""`fairroll set-aside`."""

import asyncio

import click

from infra.operator_settings import operator_settings
from stream_processors.decider.changelog import set_aside as remove

__all__ = ["set_aside"]


class _Place(click.ParamType):
    """A partition and an offset, such as 2/1234."""

    name = "partition/offset"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        partition, slash, offset = value.partition("/")
        if not (slash and partition.isdecimal() and offset.isdecimal()):
            self.fail(f"{value!r} is no partition and offset such as 2/1234", param, ctx)
        return int(partition), int(offset)


@click.command()
@click.argument("place", type=_Place())
def set_aside(place: tuple[int, int]) -> None:
    """Remove a row of the decider's table that it cannot read.

    PLACE is the partition and the offset that the decider names, such as 2/1234. What the row remembered is lost, and a
    dead letter records it. A newer version of fairroll may be able to read the row: start that one first.
    """
    key = asyncio.run(remove(operator_settings(), *place))
    click.echo(f"{key} is removed; start the decider again")
