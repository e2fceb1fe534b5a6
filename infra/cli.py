"""`fairroll`: what runs the pipeline, and all that operators do.

A new command is a function under `@main.command()`; it takes its settings from `_settings()` and raises FairrollError.
"""

import asyncio
import os
import signal
from importlib import import_module
from pathlib import Path
from typing import Literal

import click
from rich.console import Console
from rich.table import Table

from infra.local.parts import BROKERS, EVERYTHING, INSTEAD
from infra.local.ports import Ports
from infra.local.stack import LocalStack
from infra.provision import provision as make_what_is_missing
from models.errors import ConfigError, FairrollError
from models.settings import Settings

__all__ = ["main"]


class _Told(click.ClickException):
    """An error of ours as one line, without a traceback."""

    def __init__(self, error: FairrollError) -> None:
        super().__init__(str(error))
        self.exit_code = 2 if isinstance(error, ConfigError) else 1

    def show(self, file: object = None) -> None:  # noqa: ARG002  # click's signature
        click.echo(f"fairroll: {self.message}", err=True)


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except FairrollError as error:
            raise _Told(error) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """A fair share of paper for everyone, a face kept for no one.

    Addresses and files come from FAIRROLL_ variables: FAIRROLL_MQTT, FAIRROLL_KAFKA, FAIRROLL_INFLUX_URL,
    FAIRROLL_SITES and so on (docs/operations.md).
    """


@main.command()
@click.option("--folder", type=click.Path(path_type=Path), default=".local", show_default=True, help="Data and logs.")
@click.option("--ports", type=click.Choice(["fixed", "free"]), default="fixed", show_default=True)
@click.option("--brokers", is_flag=True, help="Only the brokers, none of fairroll's own processes.")
def up(folder: Path, ports: Literal["fixed", "free"], *, brokers: bool) -> None:
    """Start the whole pipeline on this machine, until Ctrl-C.

    A broker named by FAIRROLL_MQTT, FAIRROLL_KAFKA or FAIRROLL_INFLUX_URL is used, not started.
    """
    stack = LocalStack(
        folder,
        parts=BROKERS if brokers else EVERYTHING,
        ports=Ports.free() if ports == "free" else Ports(),
        environ=os.environ,
    )
    try:
        asyncio.run(_up(stack, Console()))
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("stopped")


async def _up(stack: LocalStack, console: Console) -> None:
    task = asyncio.current_task()
    if task:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with console.status("starting") as status:
        async with stack:
            status.stop()
            console.print(_table(stack))
            console.print("Ctrl-C stops all of it.")
            await stack.watch()


def _table(stack: LocalStack) -> Table:
    table = Table("part", "listens at", "log")
    for process in stack:
        table.add_row(process.part.name, process.part.address, str(process.log))
    for name in stack.external:
        table.add_row(name, stack.settings.to_environ()[INSTEAD[name]], "external")
    return table


@main.command()
def provision() -> None:
    """Make keys and Kafka's topics where they are missing. Repeating it is harmless."""
    for sentence in asyncio.run(make_what_is_missing(_settings())) or ["everything is there"]:
        click.echo(sentence)


@main.command()
def ingress() -> None:
    """From MQTT to Kafka: check, seal and keep what dispensers say."""
    _run("ingress")


@main.command()
def egress() -> None:
    """From Kafka to MQTT: bring every decision to its dispenser."""
    _run("egress")


@main.command()
def decider() -> None:
    """Decide: one worker of the Faust application."""
    _run("decider")


@main.command()
def sink() -> None:
    """From Kafka to InfluxDB: write the metrics."""
    _run("sink")


def _run(process: str) -> None:
    """In the foreground; only this process's own module is loaded."""
    import_module(f"stream_processors.{process}").run(_settings())


def _settings() -> Settings:
    """The one place where a command reads its environment."""
    return Settings.from_environ(os.environ)


if __name__ == "__main__":
    main(prog_name="fairroll")
