"""`fairroll provision`."""

import asyncio

import click

from infra.operator_settings import operator_settings
from infra.setup.provision import provision as make_what_is_missing

__all__ = ["provision"]


@click.command()
def provision() -> None:
    """Create missing keys and Kafka topics.

    Repeating it is harmless.
    """
    for sentence in asyncio.run(make_what_is_missing(operator_settings())) or ["everything is there"]:
        click.echo(sentence)
