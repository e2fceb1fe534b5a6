"""Brings weights into a folder: a resumable download or a file that the operator has; checked, then put in place."""

import os
import shutil
from pathlib import Path
from typing import BinaryIO, Final

import requests

from models.errors import ConfigError
from models.face.networks.weights import CATALOGUE, Weights, check, file_sha256, verified

__all__ = ["fetch", "import_file"]

_CHUNK: Final = 1 << 16
"""What a cut may lose: only whole pieces are kept."""
_TIMEOUT_S: Final = (10, 60)
"""to connect, and between two pieces of the body"""


def fetch(weights: Weights, folder: Path) -> Path:
    """Return the file's path, fetching what is missing of it; a cut download goes on where it stopped.

    requests takes a proxy from the environment (HTTPS_PROXY). Raises ConfigError, with what to do, if the file is
    incomplete or not the released one.
    """
    target, part = folder / weights.name, folder / f"{weights.name}.part"
    try:
        if not weights.package and not target.exists():
            folder.mkdir(parents=True, exist_ok=True)
            _download(weights, part)
            _check_download(weights, part)
            part.replace(target)
        return verified(weights, folder)
    except requests.RequestException as error:  # an OSError too, so it comes first
        raise ConfigError(
            f"{weights.name} was not fetched: {error}. Run the command again to go on, or bring {weights.url} and run"
            " `dispenser weights import FILE`"
        ) from error
    except OSError as error:
        raise _cannot_keep(weights, folder, error) from error


def import_file(source: Path, folder: Path) -> Weights:
    """Copy a file of the catalogue into the folder in one step. Raises ConfigError if it is none, naming what it is."""
    try:
        size, sha256 = source.stat().st_size, file_sha256(source)
    except OSError as error:
        raise ConfigError(f"{source} cannot be read: {error}") from error
    weights = next((each for each in CATALOGUE if (each.size, each.sha256) == (size, sha256)), None)
    if weights is None:
        expected = next(
            (f"; {each.id} has {check(each, source)}" for each in CATALOGUE if each.name == source.name), ""
        )
        raise ConfigError(f"{source} is not in the catalogue: {size:,} bytes, sha256 {sha256}{expected}")
    part = folder / f"{weights.name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_room(size, folder)
        with source.open("rb") as original, part.open("wb") as copy:
            shutil.copyfileobj(original, copy)
            copy.flush()
            os.fsync(copy.fileno())
        _check_download(weights, part)
        part.replace(folder / weights.name)
    except OSError as error:
        raise _cannot_keep(weights, folder, error) from error
    return weights


def _download(weights: Weights, part: Path) -> None:
    """Append to `part` what it lacks."""
    have = part.stat().st_size if part.exists() else 0
    if have >= weights.size:
        return
    _check_room(weights.size - have, part.parent)
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"}
    with requests.get(weights.url, headers=headers, stream=True, timeout=_TIMEOUT_S) as answer:
        answer.raise_for_status()
        resumed = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        with part.open("ab" if resumed else "wb") as sink:
            _pour(answer, sink, limit=weights.size + 1 - (have if resumed else 0))
            os.fsync(sink.fileno())


def _pour(answer: requests.Response, sink: BinaryIO, limit: int) -> None:
    """Write the body, at most `limit` bytes: a longer one is wrong anyway, and must not fill the disk."""
    for chunk in answer.iter_content(_CHUNK):
        limit -= sink.write(chunk[:limit])
        if limit <= 0:
            return


def _check_room(needed: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ConfigError(f"{folder} has {free:,} bytes free and {needed:,} are needed: make room")


def _check_download(weights: Weights, part: Path) -> None:
    """Raise ConfigError unless `part` is the released file. One that is complete but wrong is removed."""
    error = check(weights, part)
    if not error:
        return
    if part.stat().st_size < weights.size:
        raise ConfigError(f"{weights.name} is incomplete: {error}. Run the command again to go on")
    part.unlink()
    raise ConfigError(f"{weights.name}: {error}. It was deleted; check the network's proxy, then run the command again")


def _cannot_keep(weights: Weights, folder: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{weights.name} cannot be kept in {folder}: {error}. Make room or allow writing")
