"""The folder of a broker: configuration, access rules, CRL, its own key and certificate.

| file | from | mode |
|---|---|---|
| `mosquitto.conf` | this package | 0600 |
| `access.json` | the certificates that are valid; kept by mosquitto's plugin afterwards | 0600 |
| `ca.pem`, `crl.pem` | the authority | 0644 |
| `broker.key`, `broker.pem` | made here, signed by the authority | 0600, 0644 |
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from string import Template

from msgspec import Struct

from devices.enrolment.enrolment import IdentityFiles, install_bundle, request_certificate
from devices.enrolment.private_files import make_private_folder, replace
from infra.broker.access import plugin_file
from infra.ca.authority_folder import AuthorityFolder
from models.contract.topics import Topics
from models.errors import ConfigError
from models.pki.certificates import is_signed_by, read_certificate, read_request
from models.pki.names import BROKER, DeviceName, parse_name

__all__ = ["Listener", "permitted", "write_broker"]

_PLUGIN = "mosquitto_dynamic_security.so"
_PLUGIN_FOLDERS = ("/usr/lib", "/usr/local/lib")
_RENEWED = timedelta(days=30)
_TEMPLATE = Path(__file__).with_name("mosquitto.conf")


class _Config(Template):
    """A configuration file with words as `@word`, as those of the local stack."""

    delimiter = "@"


class Listener(Struct, frozen=True, kw_only=True):
    """Where the broker listens, and under which names clients know it."""

    address: str = "0.0.0.0"  # noqa: S104 - the one port of the deployment that dispensers reach
    port: int = 8883
    hosts: tuple[str, ...]
    connections: int = 10_000
    home: str = ""
    """where the folder is on the broker's host; empty: where it is written"""
    user: str = ""
    """the user that mosquitto becomes when it is started by root; empty: mosquitto"""


def write_broker(
    folder: Path, data: Path, authorities: Sequence[AuthorityFolder], listener: Listener, topics: Topics, now: datetime
) -> Path:
    """Write all files of the folder; returns the configuration.

    `authorities`: the first signs the broker's own certificate; during a rollover clients of the others are let in too.
    """
    make_private_folder(folder)
    _certify(folder, authorities[0], listener, now)
    replace(folder / "ca.pem", _joined(authority.certificate_file for authority in authorities), 0o644)
    replace(folder / "crl.pem", _joined(authority.crl_file for authority in authorities), 0o644)
    replace(folder / "access.json", _access(permitted(authorities, topics, now), topics))
    words = {"port": listener.port, "address": listener.address, "connections": listener.connections}
    user = f"user {listener.user}\n" if listener.user else ""
    text = _Config(_TEMPLATE.read_text()).substitute(
        words, folder=listener.home or folder.absolute(), data=data.absolute(), plugin=_plugin(), user=user
    )
    config = folder / "mosquitto.conf"
    replace(config, text.encode())
    return config


def permitted(authorities: Iterable[AuthorityFolder], topics: Topics, now: datetime) -> list[str]:
    """Each name in this namespace that has a certificate which is neither revoked nor expired."""
    issued = (each for authority in authorities for each in authority.issued())
    return sorted({each.name for each in issued if each.state(now) == "valid" and _is_client(each.name, topics)})


def _access(names: Iterable[str], topics: Topics) -> bytes:
    devices = {name for name in names if isinstance(parse_name(name, topics), DeviceName)}
    return plugin_file(topics, set(names) - devices, devices)


def _certify(folder: Path, authority: AuthorityFolder, listener: Listener, now: datetime) -> None:
    """Sign the broker's certificate, unless it has one of this authority that lasts for a month."""
    files = IdentityFiles(folder, BROKER)
    signer = read_certificate(authority.certificate_file.read_bytes())
    if files.certificate.exists():
        present = read_certificate(files.certificate.read_bytes())
        if is_signed_by(present, signer) and present.not_valid_after_utc > now + _RENEWED:
            return
    request_certificate(files)
    asked = read_request(files.request.read_bytes(), BROKER)
    install_bundle(files, bytes(authority.sign(asked, now, hosts=listener.hosts)))


def _joined(files: Iterable[Path]) -> bytes:
    return b"".join(file.read_bytes() for file in files)


def _is_client(name: str, topics: Topics) -> bool:
    try:
        parse_name(name, topics)
    except ConfigError:
        return False
    return True


def _plugin() -> Path:
    candidates: Iterable[Path] = (path for folder in _PLUGIN_FOLDERS for path in Path(folder).glob(f"**/{_PLUGIN}"))
    if found := next(iter(candidates), None):
        return found
    raise ConfigError(f"{_PLUGIN} is in none of {', '.join(_PLUGIN_FOLDERS)}: install mosquitto 2")
