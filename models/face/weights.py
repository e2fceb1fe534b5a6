"""Downloads FaceNet's weights: resumable, verified, moved into place atomically, loaded without running code."""

import hashlib
import os
import pickle
import shutil
from pathlib import Path
from typing import BinaryIO, Final

import requests
import torch
from facenet_pytorch import InceptionResnetV1
from msgspec import Struct

from models.errors import ConfigError

__all__ = ["FACENET_VGGFACE2", "WeightsFile", "fetch", "load_facenet"]


class WeightsFile(Struct, frozen=True, kw_only=True):
    """A released file and its identification."""

    name: str
    url: str
    size: int
    """bytes"""
    sha256: str


FACENET_VGGFACE2: Final = WeightsFile(
    name="20180402-114759-vggface2.pt",
    url="https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt",
    size=111_898_327,
    sha256="281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
)
"""InceptionResnetV1 trained on VGGFace2, released by facenet-pytorch; the hash as public repositories hold it."""

_CHUNK: Final = 1 << 16
"""Bytes per write: an interrupted download loses at most this many."""
_TIMEOUT_S: Final = (10, 60)
"""to connect, and between two chunks of the body"""


def fetch(file: WeightsFile, folder: Path) -> Path:
    """Return the file's path in `folder`, downloading what is missing; an interrupted download is resumed.

    Raises ConfigError, with the remedy, if it is incomplete or changed.
    """
    target, part = folder / file.name, folder / f"{file.name}.part"
    try:
        if not target.exists():
            folder.mkdir(parents=True, exist_ok=True)
            _download(file, part)
            _check(file, part)
            part.replace(target)
        _check(file, target)
    except requests.RequestException as error:  # an OSError too, so it comes first
        raise ConfigError(
            f"{file.name} was not fetched: {error}. Run the command again to go on, or bring {file.url} to {target}"
        ) from error
    except OSError as error:
        raise ConfigError(f"{file.name} cannot be kept in {folder}: {error}. Make room or allow writing") from error
    return target


def load_facenet(path: Path) -> InceptionResnetV1:
    """Load the embedding network, without its classifier. Raises ConfigError if the file holds anything else."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network = InceptionResnetV1()
        network.load_state_dict({key: state[key] for key in state if not key.startswith("logits.")}, strict=True)
    except (OSError, EOFError, pickle.UnpicklingError, RuntimeError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} does not hold FaceNet's weights: {error}. Delete it and fetch it again") from error
    return network


def _download(file: WeightsFile, part: Path) -> None:
    """Download the rest of `part`."""
    have = part.stat().st_size if part.exists() else 0
    if have >= file.size:
        return
    _check_room(file.size - have, part.parent)
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"}
    with requests.get(file.url, headers=headers, stream=True, timeout=_TIMEOUT_S) as answer:
        answer.raise_for_status()
        resumed = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        with part.open("ab" if resumed else "wb") as sink:
            _pour(answer, sink, limit=file.size + 1 - (have if resumed else 0))
            os.fsync(sink.fileno())


def _pour(answer: requests.Response, sink: BinaryIO, limit: int) -> None:
    """Write the body, at most `limit` bytes: a longer one is invalid and must not fill the disk."""
    for chunk in answer.iter_content(_CHUNK):
        limit -= sink.write(chunk[:limit])
        if limit <= 0:
            return


def _check_room(needed: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ConfigError(f"{folder} has {free:,} bytes free and {needed:,} are needed: make room")


def _check(file: WeightsFile, path: Path) -> None:
    """Raise ConfigError unless `path` is the released file; a complete but wrong download is removed."""
    size = path.stat().st_size
    if size < file.size:
        raise ConfigError(f"{path} has {size:,} of {file.size:,} bytes: {_advice(path, whole=False)}")
    if size == file.size and _sha256(path) == file.sha256:
        return
    found = f"{size:,} bytes" if size != file.size else f"sha256 {_sha256(path)}"
    expected = f"{file.size:,} bytes" if size != file.size else file.sha256
    if path.suffix == ".part":
        path.unlink()
    raise ConfigError(f"{path} is not what was released: {found}, expected {expected}: {_advice(path, whole=True)}")


def _advice(path: Path, *, whole: bool) -> str:
    if path.suffix != ".part":
        return "delete it and run the command again"
    return "it was deleted; check the network's proxy, then run the command again" if whole else "run the command again"


def _sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
