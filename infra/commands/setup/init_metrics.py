"""`fairroll init-metrics`."""

import asyncio

import aiohttp
import click

from infra.operator_settings import operator_settings
from models.errors import ConfigError
from stream_processors.sink.influx_setup import set_up

__all__ = ["init_metrics"]


@click.command()
def init_metrics() -> None:
    """Set up InfluxDB: database, retention, hourly sums.

    Repeating it is harmless; the sink does it too.
    """
    settings = operator_settings()
    try:
        version = asyncio.run(set_up(settings))
    except (aiohttp.ClientError, TimeoutError):
        raise ConfigError(f"no InfluxDB answers at {settings.influx_url} (FAIRROLL_INFLUX_URL)") from None
    kept = f"points for {settings.metrics_days} days, their hours for {settings.metrics_hours_days}"
    click.echo(f"InfluxDB {version} is ready: {kept}")
