"""Audits access to the keys: the key holder's chains, its file and its sockets, and the folder of secrets."""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from infra.audit.judgement import SEAL_SLACK_S, Tally
from infra.audit.places import Unread
from models.errors import ConfigError
from models.settings import Settings
from stream_processors.keyholder.key_file import KeyFile

__all__ = ["key_texts", "read_key_holder", "read_secrets"]

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


async def read_key_holder(settings: Settings, tally: Tally) -> None:
    """Read which minutes can still be read, and check that its file and sockets belong to its user alone.

    Raises Unread if it does not answer.
    """
    _check_places(settings, tally)
    if tally.known.facts is None:
        raise Unread(f"no key holder answers at {settings.key_addresses[0]} (FAIRROLL_KEYS)")
    for site, facts in tally.known.facts.sites.items():
        if facts.oldest is None:
            continue
        age_s = tally.age(60 * facts.oldest)
        tally.bound_s = max(tally.bound_s or 0.0, facts.window_s + SEAL_SLACK_S)
        if facts.mode != "face":
            tally.find("overdue", site, f"a seal chain of a site whose mode is {facts.mode}", age_s=age_s)
        elif age_s > facts.window_s + SEAL_SLACK_S:
            tally.find("overdue", site, "a key that no live template needs", age_s=age_s)


async def read_secrets(settings: Settings, tally: Tally) -> None:
    """Check that the folder of secrets, its files, and the private keys of MQTT are accessible to their user alone.

    Raises Unread.
    """
    for path in _private_keys(settings):
        _check(path, tally)
    if not settings.secrets.is_dir():
        raise Unread(f"no folder {settings.secrets} (FAIRROLL_SECRETS)")
    _check_closed(settings.secrets, tally)


def key_texts(settings: Settings) -> tuple[bytes, ...]:
    """Return the texts of the keys in the folder of secrets; they must not be anywhere else.

    Empty if the folder cannot be read; `read_secrets` reports that.
    """
    try:
        texts = [path.read_bytes() for path in sorted(settings.secrets.glob("*.key"))]
    except OSError:
        return ()
    return (*(text.split()[-1] for text in texts if text.split()), *_pem_texts(_private_keys(settings)))


def _private_keys(settings: Settings) -> list[Path]:
    """The keys of MQTT certificates and of controls, as far as this host has them."""
    places = [Path(place.replace("{name}", "*")) for place in (settings.mqtt_key, settings.control_key) if place]
    return [path for place in places for path in sorted(place.parent.glob(place.name))]


def _pem_texts(files: Iterable[Path]) -> Iterator[bytes]:
    """A line of each key that no other has: the first one of an elliptic key is its format."""
    for file in files:
        with suppress(OSError):
            yield from file.read_bytes().splitlines()[1:-1][-2:][:1]


def _check_places(settings: Settings, tally: Tally) -> None:
    """Check the folders of sockets and file, which may be the same."""
    kinds = [address.partition(":") for address in settings.key_addresses]
    if any(kind == "tls" for kind, _, _ in kinds):
        _check(settings.keys_cert / "key.pem", tally)
    folders = [Path(place) for kind, _, place in kinds if kind == "unix" and Path(place).is_dir()]
    for folder in folders:
        _check_closed(folder, tally)
    file = Path(settings.keys_file)
    if not settings.keys_file or not file.is_file():
        return
    if file.parent not in folders:
        _check(file, tally)
    try:
        KeyFile(file)
    except ConfigError as error:
        tally.find("key", str(file), str(error))


def _check_closed(folder: Path, tally: Tally) -> None:
    _check(folder, tally)
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise Unread(f"{folder}: {error.strerror}") from None
    for path in paths:
        _check(path, tally)


def _check(path: Path, tally: Tally) -> None:
    """Check the mode of a file. Lock files are empty; sockets are protected by their folder and their own mode."""
    try:
        mode = stat.S_IMODE(os.lstat(path).st_mode)
    except FileNotFoundError:
        return
    if mode & _OTHERS and path.name != "lock":
        tally.find("open to others", str(path), f"mode {mode:04o}: chmod go= {path}")
