"""Files that only their owner may read, and that are replaced as a whole."""

import os
import stat
from pathlib import Path

from models.errors import ConfigError

__all__ = ["check_private", "make_private_folder", "replace", "write_new"]

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private_folder(folder: Path) -> None:
    """Make the folder, and what is missing above it, with mode 0700; raises ConfigError if it is open to others."""
    for parent in reversed(folder.parents):
        parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    check_private(folder)


def check_private(path: Path) -> None:
    """Raise ConfigError if others may read the file or folder."""
    if path.stat().st_mode & _OTHERS:
        raise ConfigError(f"{path} is open to others: chmod go= {path}")


def write_new(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file that is not there yet, durably; raises FileExistsError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file: a crash leaves the old one or the new one, complete."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    write_new(new, content, mode)
    new.replace(path)
