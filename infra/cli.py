"""`fairroll`: what runs the pipeline, and all that operators do.

A new command is a function under `@commands.command()`, or in `infra/operators.py` if it is for looking at a running
pipeline; its errors are FairrollErrors.
"""

import asyncio
import os
import shlex
import signal
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Literal

import aiohttp
import click
from rich.console import Console
from rich.table import Table

from infra.audit.command import audit
from infra.compliance.command import compliance
from infra.explaining import explain
from infra.hold_commands import hold, receipts, resume
from infra.local.parts import BROKERS, EVERYTHING, INSTEAD
from infra.local.ports import Ports
from infra.local.stack import LocalStack
from infra.local.supervisor import Change, supervise
from infra.operators import dead_letters, status
from infra.preview_command import preview
from infra.provision import provision as make_what_is_missing
from infra.replaying import record, replay
from models.errors import ConfigError, FairrollError, first_of
from models.settings import Settings
from stream_processors.influx_ready import make_ready
from stream_processors.sites import configure_sites, read_sites

__all__ = ["main"]


def main() -> None:
    """The `fairroll` command; what is wrong is said in a line."""
    code = 0
    try:
        commands(prog_name="fairroll")
    except* FairrollError as group:
        error = first_of(group)
        click.echo(f"fairroll: {error}", err=True)
        code = error.exit_code
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """A fair share of paper for everyone, a face kept for no one.

    Addresses and files come from FAIRROLL_ variables: FAIRROLL_MQTT, FAIRROLL_KAFKA, FAIRROLL_INFLUX_URL,
    FAIRROLL_SITES and so on (docs/operations.md).
    """


@commands.command()
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
            console.print(f"In another terminal: {_exports(stack.settings)}", soft_wrap=True, highlight=False)
            console.print("What dies is started again. Ctrl-C stops all of it.")
            await supervise(stack, _tell)


def _tell(change: Change) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')} {change}")


def _table(stack: LocalStack) -> Table:
    table = Table("part", "listens at", "log")
    for process in stack:
        table.add_row(process.part.name, process.part.address, str(process.log))
    for name in stack.external:
        table.add_row(name, stack.settings.to_environ()[INSTEAD[name]], "external")
    return table


def _exports(settings: Settings) -> str:
    """What another terminal has to be told, for its commands to find this stack."""
    usual = Settings().to_environ()
    told = (f"{name}={value}" for name, value in settings.to_environ().items() if value != usual.get(name))
    return shlex.join(["export", *told])


@commands.command()
@click.option("--photos", type=click.Path(exists=True, path_type=Path), help="Your own: a folder a person, or files.")
@click.option(
    "--folder", type=click.Path(path_type=Path), default=".local/demo", show_default=True, help="Data and logs."
)
@click.option("--visitors", default=400, show_default=True, help="Of the simulated fleet.")
@click.option("--seconds", default=45.0, show_default=True, help="From their first arrival to the last.")
def demo(photos: Path | None, folder: Path, visitors: int, seconds: float) -> None:
    """Show the main job: a real face at one dispenser, and a simulated fleet, on real brokers."""
    try:
        from infra.demo import demonstrate  # noqa: PLC0415 - only the demo needs the vision packages
    except ImportError as error:
        raise ConfigError(f"{error.name} is missing: the demo needs every extra; run make setup") from None
    demonstrate(folder, photos, visitors=visitors, seconds=seconds)


@commands.command()
def apply() -> None:
    """Tell a running pipeline how sites work from now on.

    Reads FAIRROLL_SITES; a new site or dispenser is known to ingress when it starts again.
    """
    settings = _settings()
    sites = read_sites(settings.sites)
    asyncio.run(configure_sites(settings, sites))
    for name, spec in sites.sites.items():
        click.echo(f"{name}: {spec.mode}, policy {spec.policy.version}, {len(spec.devices)} dispensers")


@commands.command()
def provision() -> None:
    """Make keys and Kafka's topics where they are missing. Repeating it is harmless."""
    for sentence in asyncio.run(make_what_is_missing(_settings())) or ["everything is there"]:
        click.echo(sentence)


@commands.command()
def init_metrics() -> None:
    """Make InfluxDB ready: database, retention, hourly sums. Repeating it is harmless; the sink does it too."""
    settings = _settings()
    try:
        version = asyncio.run(make_ready(settings))
    except (aiohttp.ClientError, TimeoutError):
        raise ConfigError(f"no InfluxDB answers at {settings.influx_url} (FAIRROLL_INFLUX_URL)") from None
    kept = f"points for {settings.metrics_days} days, their hours for {settings.metrics_hours_days}"
    click.echo(f"InfluxDB {version} is ready: {kept}")


@commands.command()
def keyholder() -> None:
    """Make the sites' seal chains, step them on time, and give each process its keys."""
    _run("key_holder")


@commands.command()
def ingress() -> None:
    """From MQTT to Kafka: check and keep what dispensers say."""
    _run("ingress")


@commands.command()
def egress() -> None:
    """From Kafka to MQTT: bring every decision to its dispenser."""
    _run("egress")


@commands.command()
def decider() -> None:
    """Decide: one worker of the Faust application."""
    _run("decider")


@commands.command()
def sink() -> None:
    """From Kafka to InfluxDB: write the metrics."""
    _run("sink")


_OPERATORS = (status, dead_letters, preview, audit, hold, resume, receipts, compliance, record, replay, explain)
for command in _OPERATORS:
    commands.add_command(command)


def _run(process: str) -> None:
    """In the foreground; only this process's own module is loaded."""
    import_module(f"stream_processors.{process}").run(_settings())


def _settings() -> Settings:
    """The one place where a command reads its environment."""
    return Settings.from_environ(os.environ)


if __name__ == "__main__":
    main()
