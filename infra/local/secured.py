"""Certificates of a local stack, made on the fly: its authority lies next to its data, on the same machine.

That protects nothing from other programs of the same user. It is for trying, and testing, what a deployment has.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from devices.enrolment.enrolment import IdentityFiles, install_bundle, request_certificate
from infra.broker.broker_folder import Listener, permitted, write_broker
from infra.ca.authority_folder import AuthorityFolder
from infra.local.ports import LOOPBACK
from models.ledger.rules.policy import Sites
from models.pki.certificates import read_request
from models.settings import Settings

__all__ = ["authority_of", "certify", "equip", "secured", "write_local_broker"]

_NAMES = ("ingress-1", "ingress-2", "egress-1", "egress-2", "operator", "audit", "admin")


def secured(folder: Path) -> dict[str, str]:
    """The variables of a stack in `folder` whose MQTT broker wants certificates."""
    mqtt = folder / "secrets" / "mqtt"
    return {
        "FAIRROLL_MQTT_CA": str(mqtt / "ca.pem"),
        "FAIRROLL_MQTT_CERT": str(mqtt / "{name}.pem"),
        "FAIRROLL_MQTT_KEY": str(mqtt / "{name}.key"),
        "FAIRROLL_CONTROL_KEY": str(folder / "ca" / "control.key"),
        "FAIRROLL_CONTROL_SIGNERS": str(mqtt / "control.pem"),
    }


def authority_of(folder: Path) -> AuthorityFolder:
    """The authority of the stack in `folder`."""
    return AuthorityFolder(folder / "ca")


def certify(folder: Path, settings: Settings, sites: Sites | None, now: datetime) -> None:
    """Make the authority, and a certificate for each service and dispenser that has no valid one."""
    authority = authority_of(folder)
    if not authority.certificate_file.exists():
        AuthorityFolder.create(authority.folder, "fairroll local", now)
    names = {settings.topics.client_id(name) for name in (*_NAMES, *_devices(sites))}
    valid = permitted([authority], settings.topics, now)
    equip(folder, sorted(names - {name for name in valid if _files(folder, name).certificate.exists()}), now)


def equip(folder: Path, names: Iterable[str], now: datetime) -> None:
    """Give each name a key and a certificate, in the folder that the variables name."""
    authority = authority_of(folder)
    for name in names:
        files = _files(folder, name)
        request_certificate(files)
        install_bundle(files, bytes(authority.sign(read_request(files.request.read_bytes(), name), now)))


def write_local_broker(folder: Path, settings: Settings, port: int, data: Path, now: datetime) -> Path:
    """Write the configuration of a deployment for this machine; returns its file."""
    # started by root, mosquitto would become a user who cannot read here; for others the line has no effect
    listener = Listener(address=LOOPBACK, port=port, hosts=(LOOPBACK, "localhost"), connections=1_000, user="root")
    return write_broker(folder / "config" / "mqtt", data, [authority_of(folder)], listener, settings.topics, now)


def _files(folder: Path, name: str) -> IdentityFiles:
    return IdentityFiles(folder / "secrets" / "mqtt", name)


def _devices(sites: Sites | None) -> Iterator[str]:
    for site, spec in (sites.sites if sites else {}).items():
        yield from (f"{site}.{device}" for device in spec.devices)
