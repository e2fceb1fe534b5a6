"""`dispenser enroll`."""

import os
from pathlib import Path

import click
import msgspec

from devices.enrolment.enrolment import IdentityFiles, install_bundle, request_certificate
from models.contract.topics import Name
from models.errors import ConfigError
from models.settings import Settings

__all__ = ["enroll"]


@click.command()
@click.argument("site")
@click.argument("device")
@click.option("--bundle", type=click.File("rb"), help="What `fairroll ca sign` wrote: installs it.")
@click.option("--token", default="", help="One-time token of `fairroll ca invite`, in place of the fingerprint.")
def enroll(site: str, device: str, bundle: click.File | None, token: str) -> None:
    """Make the key of this dispenser and a request for its certificate; then install the answer.

    Without --bundle: makes the key, unless it is there, writes the request, and shows the fingerprint of the key, which
    the operator of the authority compares. Both lie in the folder `mqtt` of FAIRROLL_SECRETS; the key stays there.
    Enrol again for a new certificate before the present one ends.
    """
    settings = Settings.from_environ(os.environ)
    name = settings.topics.client_id(f"{_name(site)}.{_name(device)}")
    files = IdentityFiles(settings.secrets / "mqtt", name)
    if bundle is None:
        shown = request_certificate(files, token)
        click.echo(f"request: {files.request}\nfingerprint: {shown}")
        compared = "" if token else f' --fingerprint "{shown}"'
        click.echo(f"sign it with: fairroll ca sign {name} {files.request.name}{compared}")
        return
    install_bundle(files, bundle.read())  # type: ignore[attr-defined]  # click gives an open file
    click.echo(f"FAIRROLL_MQTT_CA={_shown(files.authorities)}")
    click.echo(f"FAIRROLL_MQTT_CERT={_shown(files.folder / '{name}.pem')}")
    click.echo(f"FAIRROLL_MQTT_KEY={_shown(files.folder / '{name}.key')}")
    if files.control_keys.exists():
        click.echo(f"FAIRROLL_CONTROL_SIGNERS={_shown(files.control_keys)}")


def _name(text: str) -> str:
    try:
        return msgspec.convert(text, Name)
    except msgspec.ValidationError:
        raise ConfigError(f"{text}: names are lower-case letters, digits and hyphens, 63 at most") from None


def _shown(path: Path) -> Path:
    return path.absolute()
