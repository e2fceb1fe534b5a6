"""A site's key in its file, and the chain that it steps along: what is behind is gone.

Several processes may share a file (a simulated fleet, the set-up host): who reads or replaces it holds a lock on its
folder. Stepping to an epoch twice is stepping once.
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
"""Why there is no key of the epoch that control names: it lies behind, and nobody can go back; it lies beyond every
epoch that there will be; the file could not be read or replaced."""
_MAX_KEY_FILE_BYTES: Final = 256
"""A key's file is shorter; so much is overwritten."""


class EpochFollower(Protocol):
    """Whatever makes a site's templates."""

    def follow(self, epoch: int) -> KeyUnavailable | None:
        """Make them under the key of this epoch from now on; why not, where that cannot be."""
        ...


class SiteKeyChain:
    """Makes a site's templates, under the epoch that its control names."""

    def __init__(self, file: Path, protector: Protector) -> None:
        """`protector`: of the epoch that the file holds now."""
        self.protector = protector
        self._file = file

    def follow(self, epoch: int) -> KeyUnavailable | None:
        """Step to an epoch; returns once every earlier key is gone from the file, and from here. Why not, if not.

        It takes three syncs of the disk, and half a second more for the farthest epoch. "Gone" from memory means given
        back to Python, which cannot be told to overwrite it.
        """
        if epoch == self.protector.epoch:
            return None
        key_unavailable = self._step(epoch)
        if key_unavailable:
            known = {"epoch": epoch, "key_epoch": self.protector.epoch}
            log.error("no face is looked at", why=key_unavailable, file=str(self._file), **known)
        return key_unavailable

    def _step(self, epoch: int) -> KeyUnavailable | None:
        if epoch < self.protector.epoch:
            return "key_ahead"
        if epoch > FARTHEST_EPOCH:
            return "key_too_far"
        try:
            key = step_site_key(self._file, epoch)
        except (OSError, ConfigError) as error:
            log.error("the site's key cannot be stepped", error=str(error))
            return "key_stuck"
        self.protector = Protector(key.key, self.protector.model, key.epoch)
        return None if key.epoch == epoch else "key_ahead"


def open_site_key_chain(file: Path, model: FaceModel) -> SiteKeyChain:
    """The chain of the key in a file; raises ConfigError naming it."""
    key = read_site_key(file)
    return SiteKeyChain(file, Protector(key.key, model, key.epoch))


def site_key_file(settings: Settings, site: str) -> Path:
    """Where a site's key lies."""
    return settings.secrets / site_key_name(site)


def read_site_key(file: Path) -> SiteKey:
    """Raises ConfigError naming the file."""
    try:
        with _locked(file.parent):
            return parse_site_key(file.read_text(errors="replace"), str(file))
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error}") from None


def step_site_key(file: Path, epoch: int) -> SiteKey:
    """Step the key in a file on to an epoch, FARTHEST_EPOCH at most; one that is there or further stays as it is.

    Durable when it returns; a crash leaves the old key or the new one, each whole. Raises OSError, and ConfigError for
    a file that holds no key.
    """
    with _locked(file.parent):
        key = parse_site_key(file.read_text(errors="replace"), str(file))
        if key.epoch < epoch:
            key = SiteKey(epoch, epoch_key(key.key, epoch - key.epoch))
            _replace(file, str(key))
        return key


def _replace(file: Path, text: str) -> None:
    """Put the text into the file's place, then overwrite what was there.

    On a disk that writes in place nothing of the old key is left. Flash, and file systems that copy on write, put the
    zeros elsewhere: there the old key stays until its block is used again, and only an encrypted disk helps.
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
    """Alone with the keys of a folder; the lock ends with its process (flock(2))."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
