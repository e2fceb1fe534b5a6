"""Detects biometric data, keys and pseudonyms in bytes, by their shape alone. Pure.

A template is 64 random bytes, indistinguishable when raw: what is found is how programs write it, which is
base64, hex or Python's own notation, also inside base64. Frames are found by the first bytes of their formats.
"""

import ast
import base64
import contextlib
import hashlib
import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal, NamedTuple

import msgspec

from models.contract.messages import TEMPLATE_BYTES
from models.keys.seals import Sealed

__all__ = ["LONGEST", "Seen", "Sight", "redacted", "see"]

Seen = Literal["template", "embedding", "picture", "key", "visitor", "sealed", "word"]
"""`key`: of a seal chain. `sealed`: a sealed template. `word`: a pseudonym if there is such a visitor."""

LONGEST: Final = 65_536
"""Bytes that a sight may take: an embedding of 2,048 numbers in full decimals has 45,000."""

_FEWEST_NUMBERS = 100
_FEWEST_ESCAPES = TEMPLATE_BYTES // 4
"""In Python's notation: of 64 random bytes 40 are no printable characters."""
_SMALLEST, _LARGEST = 1e-9, 1e4
"""Sizes between which all numbers of an embedding lie; four random bytes do so one time in six."""
_DEPTH = 3
"""How many times something may be wrapped in base64."""


class Sight(NamedTuple):
    """Something that was seen."""

    what: Seen
    at: int
    """where it begins"""
    text: bytes
    """itself: for a hash and for judging, never to be shown"""


def see(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[Sight]:
    """Yield everything that begins in `data[begin:end]`; the bytes around are its context.

    What begins before `end` is seen whole if `data` goes on for LONGEST bytes behind it, or ends there.
    """
    return _see(data, begin, len(data) if end is None else end, _DEPTH)


def redacted(name: str) -> str:
    """Return a name with hashes in place of findings, since paths and topics are displayed."""
    shown = data = name.encode(errors="surrogateescape")
    for sight in see(data):
        shown = shown.replace(sight.text, b"sha256:" + hashlib.sha256(sight.text).hexdigest()[:12].encode())
    return shown.decode(errors="replace")


def _see(data: bytes, begin: int, end: int, depth: int) -> Iterator[Sight]:
    for pattern, recognise in _SHAPES:
        for match in pattern.finditer(data, begin):
            if match.start() >= end:
                break
            if begin and match.start() == begin and _goes_on(match):
                continue
            yield from (Sight(what, match.start(), text) for what, text in recognise(match[0], depth))


def _goes_on(match: re.Match[bytes]) -> bool:
    """Return whether this is the end of an earlier finding."""
    longer = match.re.match(match.string, match.start() - 1)
    return longer is not None and longer.end() == match.end()


_Told = Iterable[tuple[Seen, bytes]]


def _in_run(run: bytes, depth: int) -> _Told:
    """A run of letters and digits is a template, or it may hold something wrapped in base64."""
    if _HEX.fullmatch(run):
        yield "template", run
    elif (found := _TEMPLATE.search(run) or _URL_TEMPLATE.fullmatch(run)) and _is_random(found[0]):
        yield "template", found[0]
    elif depth:
        held = _unwrapped(run)
        if _are_floats(held):
            yield "embedding", run
        yield from ((sight.what, sight.text) for sight in _see(held, 0, len(held), depth - 1))


def _unwrapped(run: bytes) -> bytes:
    """What it is the base64 of, the ends of which may be lost."""
    text = run.rstrip(b"=").translate(_PLAIN)
    return base64.b64decode(text[: len(text) - (len(text) % 4 == 1)] + b"==")


def _are_floats(held: bytes) -> bool:
    """Whether it is an array of 32-bit or 64-bit floating-point numbers of ordinary size."""
    for code in ("f", "d"):
        numbers = array(code)
        if len(held) % numbers.itemsize == 0 and len(held) >= _FEWEST_NUMBERS * numbers.itemsize:
            numbers.frombytes(held)
            if any(numbers) and all(not number or _SMALLEST < abs(number) < _LARGEST for number in numbers):
                return True
    return False


def _is_random(text: bytes) -> bool:
    """Whether 86 characters without padding are base64 rather than a path or a name."""
    return text.endswith(b"==") or all(re.search(kind, text) for kind in (rb"[a-z]", rb"[A-Z]", rb"[0-9]"))


def _in_numbers(run: bytes, _: int) -> _Told:
    """Half of an embedding's numbers have a fraction at least: lists of whole numbers are counts and ids."""
    if len(_NUMBER.findall(run)) >= _FEWEST_NUMBERS and run.count(b".") >= _FEWEST_NUMBERS // 2:
        yield "embedding", run


def _in_notation(text: bytes, _: int) -> _Told:
    """Python's notation of as many bytes as a template has."""
    if text.count(rb"\x") < _FEWEST_ESCAPES:
        return
    with contextlib.suppress(ValueError, SyntaxError):
        if len(ast.literal_eval(text.decode("ascii"))) == TEMPLATE_BYTES:
            yield "template", text


def _in_brackets(text: bytes, _: int) -> _Told:
    with contextlib.suppress(msgspec.DecodeError):
        msgspec.json.decode(text, type=Sealed)
        yield "sealed", text


def _as(what: Seen) -> Callable[[bytes, int], _Told]:
    return lambda text, _: ((what, text),)


_PLAIN = bytes.maketrans(b"-_", b"+/")
_HEX = re.compile(rb"[0-9a-f]{128}|[0-9A-F]{128}")
_TEMPLATE = re.compile(rb"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{85}[AQgw](?:==)?(?![A-Za-z0-9+/=])")
"""512 bits are 85 characters and two bits."""
_URL_TEMPLATE = re.compile(rb"[A-Za-z0-9_-]{85}[AQgw](?:==)?")
_NUMBER = re.compile(rb"\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
_PICTURES = (
    rb"\xff\xd8\xff(?:\xe0..JFIF\x00|\xe1..Exif\x00|[\xc0\xc4\xdb\xdd\xe2\xed\xee\xfe][\x00-\x0f])"  # JPEG
    rb"|\x89PNG\r\n\x1a\n"
    rb"|GIF8[79]a"
    rb"|BM.{4}\x00{4}.[\x00-\x04]\x00\x00[\x0c\x28\x34\x38\x6c\x7c]\x00\x00\x00"
    rb"|RIFF.{4}WEBPVP8"
    rb"|ftyp(?:hei[cx]|mif1|avif)"
    rb"|\x93NUMPY[\x01-\x03]\x00"  # how Python programs put frames aside
)
_SHAPES: tuple[tuple[re.Pattern[bytes], Callable[[bytes, int], _Told]], ...] = (
    (re.compile(rb"[A-Za-z0-9+/_-]{86,}+={0,2}"), _in_run),
    (re.compile(rb"[-+\d.,;eE\s]{%d,}+" % (2 * _FEWEST_NUMBERS)), _in_numbers),
    (re.compile(rb"""b(?:'(?:[^'\\\n]|\\.){64,256}+'|"(?:[^"\\\n]|\\.){64,256}+")"""), _in_notation),
    (re.compile(_PICTURES, re.DOTALL), _as("picture")),
    (re.compile(rb'"chain":"[0-9a-f]{16}","minute":\d{1,16},"key":"[A-Za-z0-9+/]{43}="'), _as("key")),
    (re.compile(rb'(?:visitor/[a-z0-9-]{1,63}/|"visitor"\s*:\s*")[a-z2-7]{16}(?![A-Za-z0-9])'), _as("visitor")),
    (re.compile(rb'\["[0-9a-f]{16}",\d{1,16},"[A-Za-z0-9+/]{38,1400}={0,2}"\]'), _in_brackets),
    (re.compile(rb"(?<![A-Za-z0-9])[a-z2-7]{16}(?![A-Za-z0-9])"), _as("word")),
)
"""Candidate patterns, each with the function that recognises what it is."""
