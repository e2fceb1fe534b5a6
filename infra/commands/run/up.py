"""`fairroll up`."""

import asyncio
import os
import time
from pathlib import Path
from typing import Literal

import click
from rich.console import Console

from infra.environment_file import FILE_NAME, LOCAL_FOLDER, published
from infra.local.ports import Ports
from infra.local.programs import BROKERS, EVERYTHING, INSTEAD
from infra.local.stack import LocalStack
from infra.local.supervisor import Change, supervise
from infra.local_time import iso_local
from infra.tables import Table

__all__ = ["up"]

_FOLDER = click.Path(path_type=Path)


@click.command()
@click.option("--folder", type=_FOLDER, default=LOCAL_FOLDER, show_default=True, help="Data and logs.")
@click.option("--ports", type=click.Choice(["fixed", "free"]), default="fixed", show_default=True)
@click.option("--secure", is_flag=True, help="MQTT by TLS with certificates, signed controls (docs/security.md).")
@click.option("--brokers", is_flag=True, help="Only the brokers, none of fairroll's own processes.")
def up(folder: Path, ports: Literal["fixed", "free"], *, secure: bool, brokers: bool) -> None:
    """Start the whole pipeline on this machine, until Ctrl-C.

    A broker named by FAIRROLL_MQTT, FAIRROLL_KAFKA or FAIRROLL_INFLUX_URL is used, not started. SIGTERM stops it too.
    """
    stack = LocalStack(
        folder,
        programs=BROKERS if brokers else EVERYTHING,
        ports=Ports.free() if ports == "free" else Ports(),
        environ=os.environ,
        is_secure=secure,
    )
    try:
        asyncio.run(_up(stack, folder, Console()))
    except KeyboardInterrupt:
        click.echo("stopped")


async def _up(stack: LocalStack, folder: Path, console: Console) -> None:
    with published(folder) as publish, console.status("starting") as status:
        async with stack:
            status.stop()
            console.print(_table(stack))
            for notice in filter(None, (process.notice for process in stack)):
                console.print(notice, soft_wrap=True, highlight=False)
            if stack.kept:
                console.print(_not_listed(stack), soft_wrap=True, highlight=False)
            publish(stack.settings)
            console.print(_how_to_find(folder), soft_wrap=True, highlight=False)
            console.print("A program that dies is restarted. Ctrl-C stops everything.")
            await supervise(stack, _print_change)


def _print_change(change: Change) -> None:
    click.echo(f"{iso_local(time.time())} {change}")


def _table(stack: LocalStack) -> Table:
    table = Table("program", "listens at", "log")
    for process in stack:
        table.add_row(process.program.name, process.program.address, str(process.log))
    for name in stack.external:
        table.add_row(name, stack.settings.to_environ()[INSTEAD[name]], "external")
    return table


def _not_listed(stack: LocalStack) -> str:
    names = ", ".join(stack.kept)
    return f"Not in {stack.settings.sites}, kept: {names}. `fairroll apply --remove` removes them."


def _how_to_find(folder: Path) -> str:
    file = folder.absolute() / FILE_NAME
    to_shell = f"`set -a; . {file}; set +a`"
    if folder.absolute() == LOCAL_FOLDER.absolute():
        return f"Commands typed in this folder find it. For `dispenser`, and elsewhere: {to_shell}"
    return f"For another terminal: {to_shell}"
