"""`fairroll status`."""

import asyncio
import sys

import click
import msgspec
from rich.console import Console

from infra.operator_settings import operator_settings
from infra.status.probe import read_status
from infra.status.screen import screen

__all__ = ["status"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
def status(*, as_json: bool) -> None:
    """Show what works and what does not, on one screen.

    Services, brokers, consumer lag, dispensers, dead letters. Exit code 0 when all is ready, 1 when something is
    not. Services are asked at FAIRROLL_SERVICES.
    """
    settings = operator_settings()
    seen = asyncio.run(read_status(settings))
    if as_json:
        click.echo(msgspec.json.encode(seen))
    else:
        Console().print(screen(seen))
    sys.exit(1 if seen.problems else 0)
