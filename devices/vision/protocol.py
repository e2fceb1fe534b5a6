"""What a dispenser and its vision process say to each other, over the two pipes of standard input and output.

The dispenser writes the number of a look, eight bytes; the process answers with a frame: four bytes of length, then
MessagePack. It begins with Ready or Unusable. No picture and no key ever crosses.
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
    """What a vision process is started with, as JSON."""

    photos: str
    """the folder or file in the place of a camera"""
    model: str
    weights: str
    """the folder where the model's weights are, or will be"""


class Ready(Struct, frozen=True, tag="ready"):
    """The camera is open and the networks are loaded."""


class Unusable(Struct, frozen=True, tag="unusable"):
    """The operator has to do something; `text` says what."""

    text: str


class Captured(Struct, frozen=True, kw_only=True, tag="looked"):
    """What came of a look: an embedding, float32 in this machine's byte order, or the reason why there is none."""

    number: int
    embedding: bytes | None = None
    reason: Reason | None = None


Answer = Ready | Unusable | Captured

_encode = msgspec.msgpack.Encoder().encode
_answer: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


class Reader(Protocol):
    """The end of a pipe, as asyncio's StreamReader."""

    async def readexactly(self, n: int) -> bytes: ...


def frame(answer: Answer) -> bytes:
    """An answer as it goes over the pipe."""
    body = _encode(answer)
    return _LENGTH.pack(len(body)) + body


async def read_answer(reader: Reader) -> Answer:
    """The next answer. Raises EOFError at the end of the pipe, msgspec.MsgspecError for what is none."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > _MAX_BYTES:
        raise msgspec.DecodeError(f"an answer of {length} bytes")
    return _answer.decode(await reader.readexactly(length))
