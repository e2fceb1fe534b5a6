"""`fairroll apply`."""

import asyncio

import click

from infra.operator_settings import operator_settings
from models.site_file import read_sites
from stream_processors.runtime.site_file import configure_sites

__all__ = ["apply"]


@click.command()
def apply() -> None:
    """Bring the file of sites to a running pipeline.

    Reads modes, policies and dispensers from FAIRROLL_SITES; ingress learns of a new site or dispenser when it
    starts again.
    """
    settings = operator_settings()
    sites = read_sites(settings.sites)
    asyncio.run(configure_sites(settings, sites))
    for name, spec in sites.sites.items():
        click.echo(f"{name}: {spec.mode}, policy {spec.policy.version}, {len(spec.devices)} dispensers")
