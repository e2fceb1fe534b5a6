"""The site key in its file, and its one-way key chain: after a step to an epoch no earlier key is left.

Several processes may share a file (a simulated fleet, the set-up host): a process that reads or replaces it holds a
lock on the folder. A step to an epoch is idempotent.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, Protocol

import structlog

from models.contract.face_models import FaceModel
from models.errors import ConfigError
from models.face.protection import FARTHEST_EPOCH, Protector, epoch_key
from models.keys.key_files import SiteKey, parse_site_key, site_key_name
from models.settings import Settings

__all__ = [
    "EpochFollower",
    "KeyUnavailable",
    "SiteKeyChain",
    "open_site_key_chain",
    "read_site_key",
    "site_key_file",
    "step_site_key",
]

log = structlog.get_logger()

KeyUnavailable = Literal["key_ahead", "key_too_far", "key_stuck"]
"""Why there is no key of the control's epoch: the file holds the key of a later epoch, and the chain is one-way; the
epoch is above FARTHEST_EPOCH; the file cannot be read or replaced."""
_MAX_KEY_FILE_BYTES: Final = 256
"""Bytes that are overwritten with zeros; a key file is shorter."""


class EpochFollower(Protocol):
    """Steps the key of a site's templates."""

    def follow(self, epoch: int) -> KeyUnavailable | None:
        """Step to the key of an epoch; return the reason if that is impossible."""
        ...


class SiteKeyChain:
    """The key chain of a site, with the template protector of the current epoch."""

    def __init__(self, file: Path, protector: Protector) -> None:
        """`protector`: for the key that the file holds now."""
        self.protector = protector
        self._file = file

    def follow(self, epoch: int) -> KeyUnavailable | None:
        """Step to an epoch; return None once each earlier key is deleted from file and memory, else the reason.

        It takes three syncs of the disk, and half a second more for FARTHEST_EPOCH. In memory the earlier key is
        released, not overwritten: Python has no means for that.
        """
        if epoch == self.protector.epoch:
            return None
        key_unavailable = self._step(epoch)
        if key_unavailable:
            epochs = {"epoch": epoch, "key_epoch": self.protector.epoch}
            log.error("camera blocked: site key unavailable", why=key_unavailable, file=str(self._file), **epochs)
        return key_unavailable

    def _step(self, epoch: int) -> KeyUnavailable | None:
        if epoch < self.protector.epoch:
            return "key_ahead"
        if epoch > FARTHEST_EPOCH:
            return "key_too_far"
        try:
            key = step_site_key(self._file, epoch)
        except (OSError, ConfigError) as error:
            log.error("site key cannot be stepped to the epoch", error=str(error))
            return "key_stuck"
        self.protector = Protector(key.key, self.protector.model, key.epoch)
        return None if key.epoch == epoch else "key_ahead"


def open_site_key_chain(file: Path, model: FaceModel) -> SiteKeyChain:
    """Open the key chain of a file; raises ConfigError with the name of the file."""
    key = read_site_key(file)
    return SiteKeyChain(file, Protector(key.key, model, key.epoch))


def site_key_file(settings: Settings, site: str) -> Path:
    """Return the path of a site's key file."""
    return settings.secrets / site_key_name(site)


def read_site_key(file: Path) -> SiteKey:
    """Read a key file; raises ConfigError with the name of the file."""
    try:
        with _locked(file.parent):
            return parse_site_key(file.read_text(errors="replace"), str(file))
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error}") from None


def step_site_key(file: Path, epoch: int) -> SiteKey:
    """Step the key in a file to an epoch, at most FARTHEST_EPOCH; a key of the same or a later epoch stays.

    Durable when it returns; a crash leaves either the old key or the new one, complete. Raises OSError, and ConfigError
    for a file without a key.
    """
    with _locked(file.parent):
        key = parse_site_key(file.read_text(errors="replace"), str(file))
        if key.epoch < epoch:
            key = SiteKey(epoch, epoch_key(key.key, epoch - key.epoch))
            _replace(file, str(key))
        return key


def _replace(file: Path, text: str) -> None:
    """Replace the file atomically, then overwrite the old content with zeros.

    On a disk that writes in place nothing of the old key is left. Flash and copy-on-write file systems write the zeros
    to another block: the old key stays until its block is reused, and only disk encryption protects it.
    """
    new = file.with_name(f"{file.name}.new")
    with file.open("r+b", buffering=0) as old:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
            written.write(text)
            written.flush()
            os.fsync(written.fileno())
        new.replace(file)
        _sync(file.parent)
        old.write(bytes(_MAX_KEY_FILE_BYTES))
        os.fsync(old.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock on the keys of a folder; the lock ends with the process (flock(2))."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
