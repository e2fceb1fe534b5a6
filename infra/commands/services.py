"""The pipeline's own processes, each in the foreground until SIGTERM."""

import os
from importlib import import_module

import click

from models.settings import Settings

__all__ = ["decider", "egress", "ingress", "keyholder", "sink"]


@click.command()
def keyholder() -> None:
    """Make the sites' seal chains, step them on time, and give each process its keys."""
    _run("keyholder.service")


@click.command()
def ingress() -> None:
    """From MQTT to Kafka: check and keep what dispensers say."""
    _run("ingress.service")


@click.command()
def egress() -> None:
    """From Kafka to MQTT: bring every decision to its dispenser."""
    _run("egress.service")


@click.command()
def decider() -> None:
    """Decide: one worker of the Faust application."""
    _run("decider.agent")


@click.command()
def sink() -> None:
    """From Kafka to InfluxDB: write the metrics."""
    _run("sink.service")


def _run(module: str) -> None:
    """Import the service's own module only, and run it."""
    import_module(f"stream_processors.{module}").run(Settings.from_environ(os.environ))
