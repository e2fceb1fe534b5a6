"""`fairroll up`."""

import asyncio
import os
import shlex
import signal
import time
from pathlib import Path
from typing import Literal

import click
from rich.console import Console

from infra.local.ports import Ports
from infra.local.programs import BROKERS, EVERYTHING, INSTEAD
from infra.local.stack import LocalStack
from infra.local.supervisor import Change, supervise
from infra.local_time import iso_local
from infra.tables import Table
from models.settings import Settings

__all__ = ["up"]


@click.command()
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
            for notice in filter(None, (process.notice for process in stack)):
                console.print(notice, soft_wrap=True, highlight=False)
            console.print(f"In another terminal: {_exports(stack.settings)}", soft_wrap=True, highlight=False)
            console.print("What dies is started again. Ctrl-C stops all of it.")
            await supervise(stack, _tell)


def _tell(change: Change) -> None:
    click.echo(f"{iso_local(time.time())} {change}")


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
