"""`fairroll broker`."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import click

from infra.broker.broker_folder import Listener, permitted, write_broker
from infra.broker.live import update
from infra.ca.authority_folder import AuthorityFolder
from infra.operator_settings import operator_settings
from models.errors import ConfigError
from models.settings import host_and_port

__all__ = ["broker"]

_FOLDER = click.Path(path_type=Path)


@click.command()
@click.option(
    "--ca",
    type=_FOLDER,
    multiple=True,
    default=[".local/ca"],
    show_default=True,
    help="Folder of the authority; of two during a rollover, the one that signs for the broker first.",
)
@click.option("--folder", type=_FOLDER, default=".local/broker", show_default=True, help="Where the files go.")
@click.option("--home", default="", help="Where the folder will be on the broker's host; by default --folder.")
@click.option("--data", type=_FOLDER, default="/var/lib/mosquitto", show_default=True, help="What mosquitto keeps.")
@click.option("--host", "hosts", multiple=True, help="A name or address that clients connect to; repeatable.")
@click.option("--listen", default="0.0.0.0:8883", show_default=True, help="Its address and port.")
@click.option("--live", is_flag=True, help="Change a running broker at FAIRROLL_MQTT; write no files.")
def broker(
    *, ca: tuple[Path, ...], folder: Path, home: str, data: Path, hosts: tuple[str, ...], listen: str, live: bool
) -> None:
    """Configure mosquitto for clients with certificates.

    Each name with a valid certificate gets the rights that it needs, and no others. Writes configuration, access
    rules, CRL, key and certificate. With --live: adds and removes names in a running broker, as `admin`; a client
    whose name is removed is disconnected.
    """
    settings, now = operator_settings(), datetime.now(UTC)
    authorities = [AuthorityFolder(folder) for folder in ca]
    if live:
        change = asyncio.run(update(settings, permitted(authorities, settings.topics, now)))
        for done, names in (("added", change.added), ("removed and disconnected", change.removed)):
            click.echo(f"{done}: {', '.join(names) or 'none'}")
        return
    if not hosts:
        raise ConfigError("--host is missing: the names that clients connect to stand in the broker's certificate")
    address, port = _address(listen)
    listener = Listener(address=address, port=port, hosts=hosts, home=home)
    config = write_broker(folder, data, authorities, listener, settings.topics, now)
    click.echo(f"start it with: mosquitto -c {home or folder.absolute()}/{config.name}")
    click.echo("after `fairroll ca revoke`: run this again, reload mosquitto (SIGHUP), and run it with --live")


def _address(listen: str) -> tuple[str, int]:
    try:
        return host_and_port(listen)
    except ValueError:
        raise ConfigError(f"--listen {listen} is not host:port") from None
