"""Archive files: zstd-compressed lines of JSON, which DuckDB, pandas and `zstdcat` can open."""

import io
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO, Final

import zstandard
from msgspec import structs

from models.contract.codec import encode
from models.errors import ConfigError
from models.keys.key_files import pipeline_id
from models.replay.archive import HashChain, Header, Trailer, UnusableArchive, read_header, read_line
from models.replay.recording import RecordedEvent, Recording
from stream_processors.replay.template_access import Treat

__all__ = ["Archive", "Writer", "header_of", "open_archive", "writing"]

_LEVEL: Final = 10
_BUFFER: Final = 1 << 17
_LONGEST: Final = 1 << 20
"""Most bytes of a line; a recording's longest has some thousand."""


def header_of(recording: Recording, pipeline_secret: bytes) -> Header:
    """Return the header of an archive that is created now."""
    made_by, made_at = f"fairroll {version('fairroll')}", time.time_ns() // 1_000_000
    return Header(made_by=made_by, made_at=made_at, pipeline=pipeline_id(pipeline_secret), recording=recording)


class Writer:
    """Writes an archive; created by `writing`."""

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self._file = file
        self._chain = HashChain()
        self.events = 0
        self._file.write(self._chain.link(encode(header)))

    def put(self, recorded: RecordedEvent) -> None:
        """Append an event, in offset order within its partition."""
        self._file.write(self._chain.link(encode(recorded)))
        self.events += 1

    def close(self, unreadable: int) -> Trailer:
        """Append the trailer, which completes the archive."""
        trailer = Trailer(events=self.events, unreadable=unreadable, sha256=self._chain.sha256)
        self._file.write(self._chain.link(encode(trailer)))
        return trailer


@contextmanager
def writing(path: Path, header: Header) -> Iterator[Writer]:
    """Write an archive with mode 0600; the file gets its name only if the block succeeds.

    Raises ConfigError if it cannot be written or the name exists.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    if path.exists():
        raise ConfigError(f"{path} exists: choose another name, or delete it")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
            with compressor.stream_writer(file, closefd=False) as packed:
                yield Writer(packed, header)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


class Archive:
    """An archive whose hash chain was verified. It can be iterated any number of times."""

    def __init__(self, path: Path, header: Header, trailer: Trailer, treat: Treat | None) -> None:
        self._path = path
        self._treat = treat
        self.header = header
        self.trailer = trailer

    @property
    def recording(self) -> Recording:
        return self.header.recording

    @property
    def total(self) -> int:
        return self.trailer.events

    @property
    def unreadable(self) -> int:
        return self.trailer.unreadable

    async def __aiter__(self) -> AsyncIterator[RecordedEvent]:
        for recorded in self:
            yield recorded

    def __iter__(self) -> Iterator[RecordedEvent]:
        for line in _read(self._path):
            if isinstance(line, RecordedEvent):
                yield structs.replace(line, event=self._treat(line.event)) if self._treat else line


def open_archive(path: Path, treat: Treat | None = None) -> Archive:
    """Verify the whole hash chain and return the archive. `treat` is applied to every event that is iterated.

    Raises UnusableArchive naming the damaged record, or where the file is truncated.
    """
    header: Header | None = None
    for line in _read(path):
        match line:
            case Header():
                header = line
            case Trailer() if header:
                return Archive(path, header, line, treat)
            case _:
                pass
    raise UnusableArchive(f"{path}: it is empty")


def _read(path: Path) -> Iterator[Header | RecordedEvent | Trailer]:
    chain = HashChain()
    try:
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as raw:
            lines = io.BufferedReader(raw, _BUFFER)
            yield read_header(lines.readline(_LONGEST), chain)
            while line := lines.readline(_LONGEST):
                read = read_line(line, chain)
                if isinstance(read, Trailer):
                    _check_end(lines.read(1))
                    yield read
                    return
                yield read
        raise UnusableArchive(f"it ends before {chain.place}: it is truncated")
    except UnusableArchive as error:
        raise UnusableArchive(f"{path}: {error}") from None
    except zstandard.ZstdError as error:
        what = f"{chain.place} cannot be unpacked" if chain.sha256 else "it is no fairroll archive"
        raise UnusableArchive(f"{path}: {what}: {error}") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None


def _check_end(rest: bytes) -> None:
    if rest:
        raise UnusableArchive("something follows the trailer")
