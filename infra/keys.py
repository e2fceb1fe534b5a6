"""The secrets that live in files: the pipeline's own, and one for each site's devices."""

import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

from models.errors import ConfigError
from models.keys import KEY_BYTES, PIPELINE_KEY, parse_key, site_key_name

__all__ = ["make_keys"]

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_keys(folder: Path, sites: Iterable[str]) -> list[Path]:
    """Make `pipeline.key` and `site-<name>.key` where they are missing, and return those: 32 random bytes in hex.

    A key that is there stays as it is. Raises ConfigError where others may read the folder or a key, or where a
    key's file holds something else.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_others(folder)
    names = (PIPELINE_KEY, *(site_key_name(site) for site in sites))
    return [key for name in names if _is_new(key := folder / name)]


def _is_new(key: Path) -> bool:
    """Whether it had to be made."""
    try:
        descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        _check(key)
        return False
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")
        file.flush()
        os.fsync(descriptor)
    return True


def _check(key: Path) -> None:
    _refuse_others(key)
    parse_key(key.read_text(errors="replace"), str(key))


def _refuse_others(path: Path) -> None:
    if path.stat().st_mode & _OTHERS:
        raise ConfigError(f"{path} is open to others: chmod go= {path}")
