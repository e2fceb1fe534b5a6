"""Protocol between a dispenser and its vision process, over the pipes of standard input and output.

The dispenser writes the number of a capture, eight bytes, big-endian; the process answers with a frame: four bytes of
length, then MessagePack. Its first frame is Ready or Unusable. No picture and no key crosses the pipes.
"""

import struct
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from models.face.capture_result import Reason

__all__ = ["NUMBER", "Answer", "Captured", "Reader", "Ready", "Unusable", "VisionConfig", "frame", "read_answer"]

NUMBER: Final = struct.Struct(">Q")
_LENGTH: Final = struct.Struct(">I")
_MAX_BYTES: Final = 100_000


class VisionConfig(Struct, frozen=True, kw_only=True):
    """Configuration of a vision process; its command line argument, as JSON."""

    photos: str
    """folder of image files, or one file, in place of a camera"""
    model: str
    weights: str
    """folder of the model's weights: `dispenser weights`"""


class Ready(Struct, frozen=True, tag="ready"):
    """The camera is open and the networks are loaded."""


class Unusable(Struct, frozen=True, tag="unusable"):
    """The process cannot work; `text` is the message to the operator."""

    text: str


class Captured(Struct, frozen=True, kw_only=True, tag="captured"):
    """The result of a capture: an embedding, float32 in native byte order, or the reason why there is none."""

    number: int
    embedding: bytes | None = None
    reason: Reason | None = None


Answer = Ready | Unusable | Captured

_encode = msgspec.msgpack.Encoder().encode
_answer: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


class Reader(Protocol):
    """The read end of a pipe, as asyncio.StreamReader."""

    async def readexactly(self, n: int) -> bytes: ...


def frame(answer: Answer) -> bytes:
    """Encode an answer as a frame."""
    body = _encode(answer)
    return _LENGTH.pack(len(body)) + body


async def read_answer(reader: Reader) -> Answer:
    """Read the next answer. Raises EOFError at the end of the pipe, msgspec.MsgspecError for an invalid frame."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > _MAX_BYTES:
        raise msgspec.DecodeError(f"an answer of {length} bytes")
    return _answer.decode(await reader.readexactly(length))
