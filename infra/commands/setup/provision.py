"""`fairroll provision`."""

import asyncio
import os

import click

from infra.setup.provision import provision as make_what_is_missing
from models.settings import Settings

__all__ = ["provision"]


@click.command()
def provision() -> None:
    """Make keys and Kafka's topics where they are missing.

    Repeating it is harmless.
    """
    for sentence in asyncio.run(make_what_is_missing(Settings.from_environ(os.environ))) or ["everything is there"]:
        click.echo(sentence)
