"""The secrets that live in files: the pipeline's own, and one for each site's devices."""

import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from devices.session.site_key import read_site_key, step_site_key
from models.errors import ConfigError
from models.face.protection import FARTHEST_EPOCH
from models.keys.key_files import (
    KEY_BYTES,
    PIPELINE_ID,
    PIPELINE_KEY,
    SiteKey,
    parse_key,
    parse_site_key,
    pipeline_id,
    site_key_name,
)

__all__ = ["make_keys", "step_keys", "write_id"]

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_keys(folder: Path, sites: Iterable[str]) -> list[Path]:
    """Make `pipeline.key` and `site-<name>.key` where they are missing, and return those: 32 random bytes in hex.

    A site's key is of epoch 0. One that is there stays as it is. Raises ConfigError if others may read the folder or
    a key, or where a key's file holds something else.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_others(folder)
    names = (PIPELINE_KEY, *(site_key_name(site) for site in sites))
    return [key for name in names if _is_new(key := folder / name)]


def write_id(folder: Path) -> str:
    """Write the id of the pipeline next to its key, for services that may not read the key, and return it."""
    key = folder / PIPELINE_KEY
    own = pipeline_id(parse_key(key.read_text(), str(key)))
    (folder / PIPELINE_ID).touch(mode=0o600)
    (folder / PIPELINE_ID).write_text(f"{own}\n")
    return own


def step_keys(folder: Path, epochs: Mapping[str, int]) -> list[str]:
    """Step each site's key on to an epoch, and return a sentence for each that is another one now, or cannot be.

    A key of a later epoch stays: a chain cannot step back. Raises ConfigError for a file that cannot be replaced.
    """
    notices = [_stepped(folder / site_key_name(site), epoch) for site, epoch in epochs.items()]
    return [sentence for sentence in notices if sentence]


def _stepped(file: Path, epoch: int) -> str | None:
    before = read_site_key(file).epoch
    if before == epoch:
        return None
    if before > epoch or epoch > FARTHEST_EPOCH:
        return f"{file} is of epoch {before}, its site is in {epoch}: no face is captured until there is a new key"
    try:
        step_site_key(file, epoch)
    except OSError as error:
        raise ConfigError(f"cannot replace {file}: {error}") from None
    return f"stepped {file} from epoch {before} to {epoch}"


def _is_new(key: Path) -> bool:
    """Whether it had to be made."""
    try:
        descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        _check(key)
        return False
    fresh = secrets.token_bytes(KEY_BYTES)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{fresh.hex()}\n" if key.name == PIPELINE_KEY else str(SiteKey(0, fresh)))
        file.flush()
        os.fsync(descriptor)
    return True


def _check(key: Path) -> None:
    _refuse_others(key)
    parse = parse_key if key.name == PIPELINE_KEY else parse_site_key
    parse(key.read_text(errors="replace"), str(key))


def _refuse_others(path: Path) -> None:
    if path.stat().st_mode & _OTHERS:
        raise ConfigError(f"{path} is open to others: chmod go= {path}")
