"""`fairroll keyholder`."""

import os

import click

from models.settings import Settings
from stream_processors.keyholder.service import run

__all__ = ["keyholder"]


@click.command()
def keyholder() -> None:
    """Keep the keys that templates are sealed with.

    Makes the seal chains of all sites, steps them on time, and serves each process its keys.
    """
    run(Settings.from_environ(os.environ))
