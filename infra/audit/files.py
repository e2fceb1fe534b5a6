"""Files of any kind, as bytes: data, logs, recordings, the segments of a broker's log. Links are not followed."""

import asyncio
import bz2
import contextlib
import gzip
import io
import lzma
import os
import re
import stat
import struct
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import zstandard

from infra.audit.detection import LONGEST, Seen
from infra.audit.judgement import NOTHING, Tally, Where
from infra.audit.places import Unread
from infra.audit.topics import allowed_in
from models.contract.topics import Topics

__all__ = ["read_broker_files", "read_files"]

_PIECE: Final = 1 << 20
_BEFORE: Final = 512
"""Bytes of the previous piece that are read again as context."""
_NO_DATA = {".index", ".timeindex", ".txnindex"}
"""Index files of a broker: offsets and positions, and megabytes of zeros."""
_SEALED: Final[frozenset[Seen]] = frozenset({"sealed"})
_VISITORS: Final[frozenset[Seen]] = frozenset({"visitor"})
_BATCH: Final = struct.Struct(">8xi4xb4xh")
"""The head of a batch: length, magic, attributes (Kafka's record format, version 2)."""
_AFTER_LENGTH: Final = 11
"""Bytes of that head that the length includes."""
_MAGIC, _CODEC = 2, 0b111
_PARTITION = re.compile(r"(.+)-\d+(?:\.[0-9a-f]+-(?:delete|future|stray))?")


def _zstd(file: BinaryIO) -> io.BufferedReader:
    reader: Any = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
    return io.BufferedReader(reader)


_OPENERS: dict[bytes, Callable[[BinaryIO], io.BufferedIOBase]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": _zstd,
}
_CLOSED = {b"PK\x03\x04": "zip", b"7z\xbc\xaf\x27\x1c": "7z", b"\x04\x22\x4d\x18": "lz4"}
"""Formats that are not unpacked here; such a file never counts as clean."""


async def read_files(root: Path, tally: Tally, *, without: Collection[Path] = ()) -> None:
    """Read a file, or every file below a folder, and their names; sealed templates may be anywhere in them."""
    for path in _files(root, without):
        await _read(path, str(path.relative_to(root.parent)), _SEALED, tally)


async def read_broker_files(root: Path, tally: Tally) -> None:
    """Read the segments of a broker's log, including deleted ones that are not yet unlinked.

    In a segment keys and values stand together, so visitors may be where a topic has them in either. Compressed
    batches are not unpacked; the place is then not read to the end.
    """
    for path in _files(root, ()):
        if path.suffix in _NO_DATA:
            continue
        partition = _PARTITION.fullmatch(path.parent.name)
        topic = partition[1] if partition else ""
        topics = Topics(topic.partition(".")[0])  # pipelines of several namespaces may use the broker
        if not tally.why and _has_compressed(path):
            tally.why = f"{path.relative_to(root)} has compressed batches"
        allowed = allowed_in(topic, topics) | (_VISITORS if topic == topics.accounts_changelog else NOTHING)
        await _read(path, str(path.relative_to(root)), allowed, tally)


def _has_compressed(path: Path) -> bool:
    """Whether any batch of a segment is compressed; False for another file."""
    if ".log" not in path.suffixes:
        return False
    with contextlib.suppress(OSError), path.open("rb") as file:
        while len(head := file.read(_BATCH.size)) == _BATCH.size:
            length, magic, attributes = _BATCH.unpack(head)
            if magic != _MAGIC:
                return False
            if attributes & _CODEC:
                return True
            file.seek(length - _AFTER_LENGTH, os.SEEK_CUR)
    return False


def _files(root: Path, without: Collection[Path]) -> Iterator[Path]:
    """Yield all files; raises Unread if a folder is missing or not readable."""
    skipped = {path.resolve() for path in without}
    if root.is_file():
        yield root
        return
    if not root.is_dir():
        raise Unread(f"no folder {root}")

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise Unread(f"{error.filename}: {error.strerror}")

    for folder, folders, names in os.walk(root, onerror=fail):
        folders[:] = sorted(name for name in folders if Path(folder, name).resolve() not in skipped)
        yield from (path for name in sorted(names) if _is_regular(path := Path(folder, name)))


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


async def _read(path: Path, name: str, allowed: frozenset[Seen], tally: Tally) -> None:
    """Return the size; a file that was deleted meanwhile is skipped."""
    tally.scan_name(Where(f"name of {name}"), name.encode(errors="surrogateescape"))
    try:
        with path.open("rb") as raw:
            tally.age(os.fstat(raw.fileno()).st_mtime)
            async for base, data, window in _pieces(_opened(raw, name)):
                tally.scan(Where(name, base), data, allowed=allowed, window=window)
    except FileNotFoundError:
        pass
    except (OSError, EOFError, lzma.LZMAError, zstandard.ZstdError) as error:
        raise Unread(f"{name}: {error}") from None


def _opened(raw: BinaryIO, name: str) -> BinaryIO | io.BufferedIOBase:
    """Open a file, unpacked if it is compressed."""
    head = raw.read(8)
    raw.seek(0)
    for magic, kind in _CLOSED.items():
        if head.startswith(magic):
            raise Unread(f"{name} is compressed ({kind}): unpack it and name the folder with --files")
    for magic, opener in _OPENERS.items():
        if head.startswith(magic):
            return opener(raw)
    return raw


async def _pieces(file: BinaryIO | io.BufferedIOBase) -> AsyncIterator[tuple[int, bytes, tuple[int, int]]]:
    """Yield pieces of a file: offset, bytes, and the range of the bytes in which a finding must begin.

    A piece overlaps with its neighbours, so that no finding is cut.
    """
    base, before, data = 0, 0, file.read(_PIECE + LONGEST)
    while len(data) > before:
        is_last = len(data) < before + _PIECE + LONGEST
        end = len(data) if is_last else before + _PIECE
        yield base, data, (before, end)
        await asyncio.sleep(0)
        if is_last:
            return
        kept = data[end - _BEFORE :]
        base, before = base + end - _BEFORE, _BEFORE
        data = kept + file.read(_PIECE + LONGEST + before - len(kept))
