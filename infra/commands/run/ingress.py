"""`fairroll ingress`."""

import os

import click

from models.settings import Settings
from stream_processors.ingress.service import run

__all__ = ["ingress"]


@click.command()
def ingress() -> None:
    """From MQTT to Kafka: check and record every message."""
    run(Settings.from_environ(os.environ))
