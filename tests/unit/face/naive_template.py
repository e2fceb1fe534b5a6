"""docs/template.md in plain Python, written from that page alone: the second implementation that tests compare with."""

import hashlib
import hmac
import math
import struct
from collections.abc import Iterator, Sequence

MASK = 0xFFFFFFFF


def _quarter(x: list[int], a: int, b: int, c: int, d: int) -> None:
    for one, other, third, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        x[one] = (x[one] + x[other]) & MASK
        mixed = x[third] ^ x[one]
        x[third] = (mixed << turn | mixed >> (32 - turn)) & MASK


def chacha20_block(key: bytes, counter: int, nonce: bytes) -> bytes:
    """RFC 8439, section 2.3."""
    start = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), counter]
    start += struct.unpack("<3I", nonce)
    x = start.copy()
    for _ in range(10):
        for column in range(4):
            _quarter(x, column, 4 + column, 8 + column, 12 + column)
        for diagonal in range(4):
            _quarter(x, diagonal, 4 + (diagonal + 1) % 4, 8 + (diagonal + 2) % 4, 12 + (diagonal + 3) % 4)
    return struct.pack("<16I", *((word + first) & MASK for word, first in zip(x, start, strict=True)))


def _bits(key: bytes, count: int) -> Iterator[int]:
    for block in range(math.ceil(count / 512)):
        for byte in chacha20_block(key, block, b"fairroll-t/2"):
            for place in range(7, -1, -1):
                yield byte >> place & 1


def template(key: bytes, model: str, size: int, embedding: Sequence[float]) -> bytes:
    q = [math.floor(e * 2**20 + 0.5) for e in embedding]
    bits = _bits(_hkdf(key, b"fairroll template " + model.encode()), size * len(q))
    number = 0
    for _ in range(size):
        total = sum(each if next(bits) else -each for each in q)
        number = number << 1 | (total >= 0)
    return number.to_bytes(size // 8, "big")


def next_key(key: bytes) -> bytes:
    return _hkdf(key, b"fairroll epoch")


def _hkdf(key: bytes, info: bytes) -> bytes:
    """RFC 5869, one block of output."""
    secret = hmac.digest(bytes(32), key, hashlib.sha256)
    return hmac.digest(secret, info + b"\x01", hashlib.sha256)
