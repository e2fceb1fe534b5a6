"""`fairroll egress`."""

import os

import click

from models.settings import Settings
from stream_processors.egress.service import run

__all__ = ["egress"]


@click.command()
def egress() -> None:
    """From Kafka to MQTT: publish every decision to its dispenser."""
    run(Settings.from_environ(os.environ))
