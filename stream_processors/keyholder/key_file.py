"""The key file of the key holder, on a memory file system: it survives a restart of the process, and no reboot.

Overwriting does not reach pages that were swapped out, so swap has to be off or encrypted (the systemd units forbid
it).
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from models.contract.topics import Name
from models.errors import ConfigError
from models.keys.seal_chain import SiteChain

__all__ = ["Kept", "KeyFile"]

log = structlog.get_logger()

_MEMORY = {"tmpfs", "ramfs"}
_MOUNTS = Path("/proc/self/mountinfo")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

_encoder = msgspec.json.Encoder()


class Kept(Struct, frozen=True, kw_only=True):
    """The content of the file, as JSON."""

    ahead_ms: int
    """how far the holder's clock, milliseconds since 1970, is ahead of the time since the boot"""
    sites: dict[Name, SiteChain]


class KeyFile:
    """The file of one holder, mode 0600. Raises ConfigError if its folder survives a reboot or cannot be created."""

    def __init__(self, path: Path) -> None:
        self._path, self._new = path, path.with_name(f"{path.name}.new")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            kind = _file_system(path.parent)
        except OSError as error:
            raise ConfigError(f"FAIRROLL_KEYS_FILE={str(path)!r}: {error.strerror or error}") from None
        if kind not in _MEMORY:
            raise ConfigError(
                f"FAIRROLL_KEYS_FILE={str(path)!r} is on {kind}, which may outlive a reboot:"
                " choose a place on tmpfs, such as under /run, or leave it empty"
            )

    def read(self) -> Kept | None:
        """Return the content that the last holder wrote; None without a valid file. An invalid one is destroyed."""
        _destroy(self._new)  # of a holder that was killed while it wrote
        try:
            return _trusted(self._path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.error("the key file is not usable: chains start again", file=str(self._path), reason=str(error))
        self.destroy()
        return None

    def write(self, kept: Kept) -> None:
        """Replace it immediately, and overwrite its old content. Raises OSError; then the file does not exist."""
        text = bytearray()
        _encoder.encode_into(kept, text)
        try:
            _write(self._new, text)
            with _overwritten(self._path):
                self._new.replace(self._path)
        except OSError:
            self.destroy()
            raise
        finally:
            text[:] = bytes(len(text))

    def destroy(self) -> None:
        """Overwrite and delete it."""
        _destroy(self._path)
        _destroy(self._new)


def _trusted(path: Path) -> Kept:
    """Read a file; raises ValueError with the reason why it cannot be used."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if status.st_mode & _OTHERS or status.st_uid != os.geteuid():
            raise ValueError("it is open to others")
        text = bytearray(file.read())
    try:
        return msgspec.json.decode(text, type=Kept)
    except ValueError:  # msgspec's and UTF-8's; their text could quote a key
        raise ValueError("it is damaged") from None
    finally:
        text[:] = bytes(len(text))


def _write(path: Path, text: bytearray) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        if file.write(text) < len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def _overwritten(path: Path) -> Iterator[None]:
    """Overwrite the file that has this name before the block, after the block has replaced it."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    except OSError:  # there is none, or a link that leads elsewhere
        yield
        return
    try:
        yield
        os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size), 0)
    finally:
        os.close(descriptor)


def _destroy(path: Path) -> None:
    with _overwritten(path):
        path.unlink(missing_ok=True)


def _file_system(folder: Path) -> str:
    """Return the type of the file system of a folder, by its Linux name."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in _MOUNTS.read_text().splitlines():  # proc(5): ID, parent's, major:minor, root, place, ... - type ...
        mount, _, kind = line.partition(" - ")
        if mount.split()[2] == number:
            return kind.split()[0]
    return "an unknown file system"
