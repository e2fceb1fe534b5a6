"""The folder of a broker: configuration, access rules, CRL, its own key and certificate.

| file | from | mode |
|---|---|---|
| `mosquitto.conf` | this package | 0600 |
| `access.json` | the certificates that are valid; kept by mosquitto's plugin afterwards | 0600 |
| `ca.pem`, `crl.pem` | the authority | 0644 |
| `broker.key`, `broker.pem` | made here, signed by the authority | 0600, 0644 |
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from string import Template

from msgspec import Struct

from devices.enrolment.enrolment import IdentityFiles, install_bundle, request_certificate
from devices.enrolment.private_files import make_private_folder, replace
from infra.broker.access import plugin_file
from infra.ca.authority_folder import AuthorityFolder
from models.contract.topics import Topics
from models.errors import ConfigError
from models.pki.certificates import read_request
from models.pki.names import BROKER, DeviceName, parse_name

__all__ = ["ACCESS_FILE", "Listener", "permitted", "write_broker"]

ACCESS_FILE = "access.json"
_PLUGIN = "mosquitto_dynamic_security.so"
_PLUGIN_FOLDERS = ("/usr/lib", "/usr/local/lib")
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
    folder: Path, data: Path, authority: AuthorityFolder, listener: Listener, topics: Topics, now: datetime
) -> Path:
    """Write all files of the folder; returns the configuration. The broker's key and certificate stay while valid."""
    make_private_folder(folder)
    _certify(folder, authority, listener, now)
    replace(folder / "crl.pem", authority.crl_file.read_bytes(), 0o644)
    replace(folder / ACCESS_FILE, access_file(authority, topics, now))
    words = {"port": listener.port, "address": listener.address, "connections": listener.connections}
    user = f"user {listener.user}\n" if listener.user else ""
    text = _Config(_TEMPLATE.read_text()).substitute(
        words, folder=listener.home or folder.absolute(), data=data.absolute(), plugin=_plugin(), user=user
    )
    config = folder / "mosquitto.conf"
    replace(config, text.encode())
    return config


def access_file(authority: AuthorityFolder, topics: Topics, now: datetime) -> bytes:
    """The access rules of every name that has a valid certificate."""
    names = permitted(authority, topics, now)
    devices = [name for name in names if isinstance(parse_name(name, topics), DeviceName)]
    return plugin_file(topics, set(names) - set(devices), devices)


def permitted(authority: AuthorityFolder, topics: Topics, now: datetime) -> list[str]:
    """Each name in this namespace that has a certificate which is neither revoked nor expired."""
    valid = {each.name for each in authority.issued() if each.state(now) == "valid"}
    return sorted(name for name in valid if _is_client(name, topics))


def _certify(folder: Path, authority: AuthorityFolder, listener: Listener, now: datetime) -> None:
    files = IdentityFiles(folder, BROKER)
    if not files.certificate.exists():
        request_certificate(files)
        asked = read_request(files.request.read_bytes(), BROKER)
        install_bundle(files, bytes(authority.sign(asked, now, hosts=listener.hosts)))


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
