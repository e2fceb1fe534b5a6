"""`fairroll decider`."""

import os

import click

from models.settings import Settings
from stream_processors.decider.service import run

__all__ = ["decider"]


@click.command()
def decider() -> None:
    """Decide every event: one worker of the Faust application."""
    run(Settings.from_environ(os.environ))
