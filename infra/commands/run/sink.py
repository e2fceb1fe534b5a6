"""`fairroll sink`."""

import os

import click

from models.settings import Settings
from stream_processors.sink.service import run

__all__ = ["sink"]


@click.command()
def sink() -> None:
    """From Kafka to InfluxDB: write the metrics."""
    run(Settings.from_environ(os.environ))
