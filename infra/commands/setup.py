"""What is done before the first process starts, and when the file of sites has changed."""

import asyncio
import os

import aiohttp
import click

from infra.setup.provision import provision as make_what_is_missing
from models.errors import ConfigError
from models.settings import Settings
from stream_processors.runtime.site_file import configure_sites, read_sites
from stream_processors.sink.influx_setup import make_ready

__all__ = ["apply", "init_metrics", "provision"]


@click.command()
def apply() -> None:
    """Tell a running pipeline how sites work from now on.

    Reads FAIRROLL_SITES; a new site or dispenser is known to ingress when it starts again.
    """
    settings = Settings.from_environ(os.environ)
    sites = read_sites(settings.sites)
    asyncio.run(configure_sites(settings, sites))
    for name, spec in sites.sites.items():
        click.echo(f"{name}: {spec.mode}, policy {spec.policy.version}, {len(spec.devices)} dispensers")


@click.command()
def provision() -> None:
    """Make keys and Kafka's topics where they are missing. Repeating it is harmless."""
    for sentence in asyncio.run(make_what_is_missing(Settings.from_environ(os.environ))) or ["everything is there"]:
        click.echo(sentence)


@click.command()
def init_metrics() -> None:
    """Make InfluxDB ready: database, retention, hourly sums. Repeating it is harmless; the sink does it too."""
    settings = Settings.from_environ(os.environ)
    try:
        version = asyncio.run(make_ready(settings))
    except (aiohttp.ClientError, TimeoutError):
        raise ConfigError(f"no InfluxDB answers at {settings.influx_url} (FAIRROLL_INFLUX_URL)") from None
    kept = f"points for {settings.metrics_days} days, their hours for {settings.metrics_hours_days}"
    click.echo(f"InfluxDB {version} is ready: {kept}")
