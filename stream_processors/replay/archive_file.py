"""Archives in files: zstd-compressed lines of JSON, which DuckDB, pandas and `zstdcat` open as they are."""

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
from models.replay.archive import Chain, Header, Trailer, UnusableArchive, read_happening, read_header
from models.replay.recording import Happening, Recording
from stream_processors.replay.template_access import Treat

__all__ = ["Archive", "Writer", "header_of", "open_archive", "writing"]

_LEVEL: Final = 10
_BUFFER: Final = 1 << 17
_LONGEST: Final = 1 << 20
"""Bytes of a line; the longest that a recording makes has some thousand."""


def header_of(recording: Recording, pipeline_secret: bytes) -> Header:
    """The header of an archive that is made now."""
    made_by, made_at = f"fairroll {version('fairroll')}", time.time_ns() // 1_000_000
    return Header(made_by=made_by, made_at=made_at, pipeline=pipeline_id(pipeline_secret), recording=recording)


class Writer:
    """What `writing` gives."""

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self._file = file
        self._chain = Chain()
        self.happenings = 0
        self._file.write(self._chain.link(encode(header)))

    def put(self, happening: Happening) -> None:
        """Append; in the order of each partition's offsets."""
        self._file.write(self._chain.link(encode(happening)))
        self.happenings += 1

    def close(self, unreadable: int) -> Trailer:
        """Append the trailer: only now it is whole."""
        trailer = Trailer(happenings=self.happenings, unreadable=unreadable, sha256=self._chain.sha256)
        self._file.write(self._chain.link(encode(trailer)))
        return trailer


@contextmanager
def writing(path: Path, header: Header) -> Iterator[Writer]:
    """Write an archive that has its name only when the block ends well; its mode is 0600.

    Raises ConfigError where it cannot, or where there is something of that name.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    if path.exists():
        raise ConfigError(f"{path} is there already: choose another name, or remove it")
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
    """An archive that was read to its end once, and is whole: iterate it any number of times."""

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
        return self.trailer.happenings

    @property
    def unreadable(self) -> int:
        return self.trailer.unreadable

    async def __aiter__(self) -> AsyncIterator[Happening]:
        for happening in self:
            yield happening

    def __iter__(self) -> Iterator[Happening]:
        for line in _read(self._path):
            if isinstance(line, Happening):
                yield structs.replace(line, event=self._treat(line.event)) if self._treat else line


def open_archive(path: Path, treat: Treat | None = None) -> Archive:
    """Read it through, checking every link, before anybody uses the first record. `treat`: done to every event.

    Raises UnusableArchive naming the record that is damaged, or where it was cut off.
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


def _read(path: Path) -> Iterator[Header | Happening | Trailer]:
    chain = Chain()
    try:
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as raw:
            lines = io.BufferedReader(raw, _BUFFER)
            yield read_header(lines.readline(_LONGEST), chain)
            while line := lines.readline(_LONGEST):
                read = read_happening(line, chain)
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
