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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def status(*, as_json: bool) -> None:
    """Show the state of the pipeline on one screen.

    Services, brokers, consumer lag, dispensers, dead letters. Exit code 1 if a service, a broker or the key holder has
    a problem; lag, offline dispensers and dead letters do not change it. FAIRROLL_SERVICES has the addresses of the
    services' health pages.
    """
    settings = operator_settings()
    seen = asyncio.run(read_status(settings))
    if as_json:
        click.echo(msgspec.json.encode(seen))
    else:
        Console().print(screen(seen))
    sys.exit(1 if seen.problems else 0)
