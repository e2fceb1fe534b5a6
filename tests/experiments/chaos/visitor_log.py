"""A crowd's visitor_log: what people and motors did, on a disk, readable after its process was killed."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec
from msgspec import Struct

__all__ = [
    "AnswerShown",
    "Entry",
    "MotorStarted",
    "MotorStopped",
    "PowerOff",
    "PowerOn",
    "RequestSent",
    "VisitorLog",
    "read_visitor_log",
]


class _Entry(Struct, frozen=True, kw_only=True, tag_field="kind"):
    at: float
    """seconds of CLOCK_MONOTONIC, which all processes of a machine share"""


class PowerOn(_Entry, tag="on", frozen=True, kw_only=True):
    """The process started. Whatever was open before is closed."""


class RequestSent(_Entry, tag="request", frozen=True, kw_only=True):
    """A person asked."""

    request: str
    site: str
    device: str
    person: int
    by: Literal["face", "button", "staff"]
    instead_of: str | None = None
    """the request that a power cut left without an answer"""


class MotorStarted(_Entry, tag="motor", frozen=True, kw_only=True):
    """A motor runs for a request, by command or as the local ration."""

    request: str
    cm: int
    commanded: bool


class MotorStopped(_Entry, tag="stopped", frozen=True, kw_only=True):
    """What came out."""

    request: str
    cm: int


class AnswerShown(_Entry, tag="shown", frozen=True, kw_only=True):
    """What the person got, and how long they waited for it (the motor's run apart)."""

    request: str
    what: Literal["dispense", "refuse", "ration", "nothing"]
    waited_s: float


class PowerOff(_Entry, tag="off", frozen=True, kw_only=True):
    """The process ended in order."""

    unacknowledged: int
    """reports that the pipeline had not noted by then"""
    went: int
    """people who found a long line and went away without asking"""


Entry = PowerOn | RequestSent | MotorStarted | MotorStopped | AnswerShown | PowerOff

_decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)


class VisitorLog:
    """Appends entries; one write() each, so that what was written stays when the process is killed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def __enter__(self) -> Self:
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def write(self, entry: Entry) -> None:
        os.write(self._file, msgspec.json.encode(entry) + b"\n")


def read_visitor_log(path: Path) -> Iterator[Entry]:
    """All entries so far, in order; none where there is no visitor_log yet."""
    if path.exists():
        yield from map(_decoder.decode, path.read_bytes().splitlines())
