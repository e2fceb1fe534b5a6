"""`fairroll ca`."""

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from rich.console import Console

from devices.enrolment.enrolment import IdentityFiles, request_certificate
from devices.enrolment.private_files import replace
from infra.ca.authority_folder import AuthorityFolder, ending
from infra.tables import Table
from models.errors import ConfigError
from models.pki.certificates import elliptic_key, fingerprint, read_request
from models.pki.names import BROKER, parse_name
from models.settings import Settings

__all__ = ["ca"]

_FOLDER = click.Path(path_type=Path)
_AUTHORITY = click.option(
    "--ca", "folder", type=_FOLDER, default=".local/ca", show_default=True, help="Folder of the authority."
)


@click.group()
def ca() -> None:
    """Sign and revoke certificates of broker, services, dispensers.

    A dispenser's name is SITE.DEVICE; a service's is ingress, egress, operator, audit or admin, with an instance where
    there are several (ingress-1); the MQTT broker's is broker.
    """


@ca.command()
@_AUTHORITY
@click.option("--name", default="fairroll", show_default=True, help="Name of the authority.")
@click.option("--successor-of", type=_FOLDER, help="Folder of the authority that it replaces.")
def init(folder: Path, name: str, successor_of: Path | None) -> None:
    """Make a new authority, and the key that signs controls.

    A successor takes over that key, and its bundles trust both authorities, until trusted.pem is deleted.
    """
    predecessor = AuthorityFolder(successor_of) if successor_of else None
    authority = AuthorityFolder.create(folder, name, _now(), predecessor)
    click.echo(f"authority {name}: {authority.certificate_file}")
    click.echo(f"public key of controls: {authority.control_public_file}")
    click.echo(f"Keep {folder} off the hosts of the pipeline, and a copy of it where a fire does not reach.")


@ca.command()
@click.argument("name")
@click.option("--folder", type=_FOLDER, default="mqtt", show_default=True, help="Folder of the new key.")
def request(name: str, folder: Path) -> None:
    """Make the key of a service, and a request for its certificate, on the service's host.

    A dispenser's is made by `dispenser enroll`.
    """
    _check(name)
    files = IdentityFiles(folder, name)
    click.echo(f"fingerprint: {request_certificate(files)}")
    click.echo(f"sign it with: fairroll ca sign {name} {files.request.name}")


@ca.command()
@_AUTHORITY
@click.argument("name")
def invite(folder: Path, name: str) -> None:
    """Make a one-time token with which NAME may ask for one certificate within a week."""
    _check(name)
    invitation = AuthorityFolder(folder).invite(name, _now())
    token = " ".join(invitation.token[place : place + 4] for place in range(0, len(invitation.token), 4))
    click.echo(f"token: {token}")
    click.echo(f"until {invitation.until:%Y-%m-%d %H:%M} UTC, once; give it only to the person at {name}")


@ca.command()
@_AUTHORITY
@click.argument("name")
@click.argument("request", type=click.File("rb"))
@click.option("--out", type=_FOLDER, help="Where the bundle goes; NAME.bundle.pem by default.")
@click.option("--days", type=click.IntRange(1, 3650), help="Lifetime; 30 for a dispenser, 90 for others.")
@click.option("--host", "hosts", multiple=True, help="Name or address of the broker; repeatable.")
@click.option("--fingerprint", "expected", help="What the owner of the key reads out; compared before signing.")
def sign(
    *,
    folder: Path,
    name: str,
    request: click.File,
    out: Path | None,
    days: int | None,
    hosts: tuple[str, ...],
    expected: str | None,
) -> None:
    """Sign the request of NAME, and write certificate, authority and control key into one file."""
    _check(name)
    if (name == BROKER) != bool(hosts):
        raise ConfigError("the broker's certificate, and no other, needs --host: the names that clients connect to")
    asked = read_request(request.read(), name)  # type: ignore[attr-defined]  # click gives an open file
    seen = fingerprint(elliptic_key(asked.public_key()))
    if expected is not None and _plain(expected) != _plain(seen):
        raise ConfigError(f"the fingerprint of the request is {seen}: it was not made by that device")
    lasts = timedelta(days=days) if days else None
    bundle = AuthorityFolder(folder).sign(asked, _now(), lasts=lasts, hosts=hosts)
    target = out or Path(f"{name}.bundle.pem")
    replace(target, bytes(bundle), 0o644)
    click.echo(f"fingerprint: {seen}")
    click.echo(f"{target}: valid until {bundle.certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")


@ca.command()
@_AUTHORITY
@click.argument("name")
def revoke(folder: Path, name: str) -> None:
    """Revoke every certificate of NAME, or the one with that serial number, and write the CRL.

    The broker reads it when it is reloaded.
    """
    authority = AuthorityFolder(folder)
    for each in authority.revoke(name, _now()):
        click.echo(f"revoked: {each.name} {each.serial}")
    click.echo(f"{authority.crl_file}: take it to the broker and reload it (docs/security.md)")


@ca.command()
@_AUTHORITY
def crl(folder: Path) -> None:
    """Make the CRL again."""
    authority = AuthorityFolder(folder)
    authority.write_crl(_now())
    click.echo(str(authority.crl_file))


@ca.command("control-key")
@_AUTHORITY
def control_key(folder: Path) -> None:
    """Make a new key for controls, next to the old one.

    First bring control.pem, which has both public keys, to every dispenser; then control.key to egress.
    """
    authority = AuthorityFolder(folder)
    authority.roll_control_key()
    click.echo(f"to every dispenser, as FAIRROLL_CONTROL_SIGNERS: {authority.control_public_file}")
    click.echo(f"then to egress, as FAIRROLL_CONTROL_KEY: {authority.control_key_file}")


@ca.command("list")
@_AUTHORITY
@click.option("--ending", "days", type=click.IntRange(0), help="Only names whose last certificate ends within DAYS.")
def list_issued(folder: Path, days: int | None) -> None:
    """Show every certificate that was signed.

    With --ending the exit code is 1 if a name has to be renewed, so that a timer can report it.
    """
    issued, now = AuthorityFolder(folder).issued(), _now()
    shown = issued if days is None else ending(issued, now, timedelta(days=days))
    table = Table("name", "state", "until", "serial")
    for each in shown:
        table.add_row(each.name, each.state(now), f"{each.not_after:%Y-%m-%d %H:%M}", each.serial)
    Console().print(table)
    sys.exit(1 if shown and days is not None else 0)


def _check(name: str) -> None:
    if name != BROKER:
        parse_name(name, Settings.from_environ(os.environ).topics)


def _plain(text: str) -> str:
    return "".join(text.split()).lower()


def _now() -> datetime:
    return datetime.now(UTC)
