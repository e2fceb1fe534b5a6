"""The pipeline's own processes, each in the foreground until SIGTERM."""

import os
from importlib import import_module

import click

from models.settings import Settings

__all__ = ["decider", "egress", "ingress", "keyholder", "sink"]


@click.command()
def keyholder() -> None:
    """Make the sites' seal chains, step them on time, and give each process its keys."""
    _run("key_holder")


@click.command()
def ingress() -> None:
    """From MQTT to Kafka: check and keep what dispensers say."""
    _run("ingress")


@click.command()
def egress() -> None:
    """From Kafka to MQTT: bring every decision to its dispenser."""
    _run("egress")


@click.command()
def decider() -> None:
    """Decide: one worker of the Faust application."""
    _run("decider")


@click.command()
def sink() -> None:
    """From Kafka to InfluxDB: write the metrics."""
    _run("sink")


def _run(process: str) -> None:
    """Only this process's own module is loaded."""
    import_module(f"stream_processors.{process}").run(Settings.from_environ(os.environ))
