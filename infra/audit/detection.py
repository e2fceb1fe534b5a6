"""Detects biometric data, keys and pseudonyms in bytes, by their shape alone. Pure.

A template is 64 or more random bytes, as many as its face model has, indistinguishable when raw: what is found is how
programs write it, which is base64, hex, binary digits, lists of numbers or Python's own notation, also broken into
lines, escaped, or inside base64. Frames are found by the first bytes of their formats.
"""

import ast
import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal, NamedTuple

import msgspec

from infra.audit.encoded import (
    SIZES,
    are_embedding_floats,
    are_mixed,
    are_template_numbers,
    templates,
    undone,
    unwrapped,
)
from models.keys.seals import Sealed

__all__ = ["LONGEST", "Seen", "Sight", "redacted", "see", "see_levels"]

Seen = Literal["template", "embedding", "picture", "key", "visitor", "sealed", "word"]
"""`key`: of a seal chain. `sealed`: a sealed template. `word`: a pseudonym if there is such a visitor."""

LONGEST: Final = 65_536
"""Most bytes of a finding: an embedding of 2,048 numbers in full decimals has 45,000."""

_FEWEST_NUMBERS = 100
_FEWEST_ESCAPES = SIZES[0] // 4
"""Fewest escapes in Python's notation: of 64 random bytes 40 are not printable."""
_DEPTH = 3
"""Most layers of base64 or escapes that are undone."""
_BEFORE = 64
"""Bytes before a run that may contain its name."""


class Sight(NamedTuple):
    """Something that was found."""

    what: Seen
    at: int
    """start of the bytes that contain it"""
    end: int
    """end of these bytes"""
    text: bytes
    """the finding itself: for its hash and its judgement, never displayed"""


def see(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[Sight]:
    """Yield everything that begins in `data[begin:end]`; the bytes around are its context.

    A finding that begins before `end` is found whole if `data` has LONGEST more bytes, or ends before.
    """
    return _see(data, begin, len(data) if end is None else end, _DEPTH)


def see_levels(name: bytes) -> Iterator[Sight]:
    """Yield what is found only where each level of a topic or a path is inspected by itself."""
    known, at = {sight.text for sight in see(name)}, 0
    for level in name.split(b"/"):
        for sight in see(level):
            if sight.text not in known:
                yield Sight(sight.what, at + sight.at, at + sight.end, sight.text)
        at += len(level) + 1


def redacted(name: str) -> str:
    """Return a name with hashes in place of findings, since paths and topics are displayed."""
    shown = data = name.encode(errors="surrogateescape")
    for sight in (*see(data), *see_levels(data)):
        whole = data[sight.at : sight.end]
        hidden = sight.text if sight.text in whole else whole
        shown = shown.replace(hidden, _hash(sight.text))
    if any(sight.what != "word" for sight in (*see(shown), *see_levels(shown))):  # something else was found in the rest
        shown = _hash(data)
    return shown.decode(errors="replace")


def _hash(text: bytes) -> bytes:
    return b"sha256:" + hashlib.sha256(text).hexdigest()[:12].encode()


def _see(data: bytes, begin: int, end: int, depth: int) -> Iterator[Sight]:
    for pattern, recognise in _SHAPES:
        for match in pattern.finditer(data, begin):
            if match.start() >= end:
                break
            if begin and match.start() == begin and _goes_on(match):
                continue
            yield from (Sight(what, *match.span(), text) for what, text in recognise(match, depth))


def _goes_on(match: re.Match[bytes]) -> bool:
    """Return whether this is the end of an earlier finding."""
    longer = match.re.match(match.string, match.start() - 1)
    return longer is not None and longer.end() == match.end()


_Told = Iterable[tuple[Seen, bytes]]


def _in_run(match: re.Match[bytes], depth: int) -> _Told:
    """Search a run of digits and escapes, as it is and with its escapes undone."""
    before = match.string[max(0, match.start() - _BEFORE) : match.start()]
    if _SEALED_BEFORE.search(before):
        return
    layers = [match[0]]
    while len(layers) < _DEPTH and (b"\\" in layers[-1] or b"%" in layers[-1]):
        layers.append(undone(layers[-1]))
    for text in reversed(layers):  # half an escape may look like digits
        found = {
            finding
            for run in _RUN.finditer(text)
            for finding in _in_digits(run[0], before + text[: run.start()][-_BEFORE:], depth)
        }
        if found:
            yield from found
            return


def _in_lines(match: re.Match[bytes], depth: int) -> _Told:
    """Search base64 in lines of equal width; letters of an escape may precede the first."""
    first, *middle, last = _BREAK.split(match[0])
    width = len(middle[0]) if middle else max(width for width in _WIDTHS if width <= len(first))
    if width in _WIDTHS and all(len(line) == width for line in middle):
        return _in_digits(b"".join((first[-width:], *middle, last)), b"", depth)
    return ()


def _in_digits(run: bytes, before: bytes, depth: int) -> _Told:
    """Search a run of digits for a template, or for data wrapped in base64."""
    found = list(templates(run, before))
    if found:
        yield from (("template", text) for text in found)
        return
    if not depth:
        return
    if are_embedding_floats(unwrapped(run)):
        yield "embedding", run
    for begin in _beginnings(run):
        held = unwrapped(run[begin:])
        yield from ((sight.what, sight.text) for sight in _see(held, 0, len(held), depth - 1))


def _beginnings(run: bytes) -> Iterable[int]:
    """Return where base64 may begin: at the start of the run, or after words, which shift its digits; one per shift."""
    words = _WORDS.match(run)
    ends = [match.end() for match in _SEPARATOR.finditer(run, 0, words.end() if words else 0)]
    return {begin % 4: begin for begin in (*reversed(ends), 0)}.values()


def _in_numbers(match: re.Match[bytes], _: int) -> _Told:
    """Search a list of numbers: an embedding, half of them with a fraction, or the bytes or bits of a template."""
    run = match[0]
    numbers = _NUMBER.findall(run)
    if len(numbers) >= _FEWEST_NUMBERS and run.count(b".") >= _FEWEST_NUMBERS // 2:
        negative = sum(number.startswith(b"-") for number in numbers)
        if are_mixed(negative, len(numbers) - negative):
            yield "embedding", run
    elif are_template_numbers(numbers):
        yield "template", run


def _in_notation(match: re.Match[bytes], _: int) -> _Told:
    """Search Python's notation of 64 bytes, as it is or in a text that was escaped again."""
    text = match.string[match.start() : match.start() + _LONGEST_NOTATION]
    if text.count(rb"\x") < _FEWEST_ESCAPES:
        return
    for _layer in range(_DEPTH):
        literal = _LITERAL.match(text)
        with contextlib.suppress(ValueError, SyntaxError):
            if literal and len(ast.literal_eval(literal[0].decode("ascii"))) in SIZES:
                yield "template", literal[0]
                return
        text = _QUOTED.sub(rb"\1", text)


def _in_brackets(match: re.Match[bytes], _: int) -> _Told:
    text = match[0].replace(b"\\", b"")
    with contextlib.suppress(msgspec.DecodeError):
        msgspec.json.decode(text, type=Sealed)
        yield "sealed", text


def _as(what: Seen) -> Callable[[re.Match[bytes], int], _Told]:
    return lambda match, _: ((what, match[0]),)


_RUN = re.compile(rb"[A-Za-z0-9+/_-]{86,}+={0,2}")
_SEALED_BEFORE = re.compile(rb'\[\\*"[0-9a-f]{16}\\*",\s*\d{1,16},\s*\\*"\Z')
_LITERAL = re.compile(rb"""b(?:'(?:[^'\\\n]|\\.){16,2048}+'|"(?:[^"\\\n]|\\.){16,2048}+")""")
_LONGEST_NOTATION = 25 * SIZES[-1]
"""characters of the longest template that was escaped three times"""
_QUOTED = re.compile(rb'\\(["\\])')
_WORDS, _SEPARATOR = re.compile(rb"(?:[A-Za-z]?[a-z0-9]*[/+_-])+"), re.compile(rb"[/+_-]")
_NUMBER = re.compile(rb"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
_BREAK = re.compile(rb"(?:(?:\\r)?\\n|\r?\n)[ \t]*")
_BASE64_LINES = re.compile(rb"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{64,}+(?:%b[A-Za-z0-9+/]{1,76})+={0,2}" % _BREAK.pattern)
_WIDTHS = (64, 76)
"""widths of base64 lines: PEM, MIME"""
_Q = rb'\\*"'
"""A quotation mark of JSON, also within a text."""
_KEY = (
    rb"\"chain%(q)b:\s*%(q)b[0-9a-f]{16}%(q)b,\s*%(q)bminute%(q)b:\s*\d{1,16},\s*"
    rb"%(q)bkey%(q)b:\s*%(q)b[A-Za-z0-9+/]{43}="
)
_VISITOR = rb"(?:visitor/[a-z0-9-]{1,63}/|\"visitor%(q)b\s*:\s*%(q)b)[a-z2-7]{16}(?![A-Za-z0-9])"
_SEALED = rb"\[%(q)b[0-9a-f]{16}%(q)b,\s*\d{1,16},\s*%(q)b[A-Za-z0-9+/]{38,1400}={0,2}%(q)b\]"
_PICTURES = (
    rb"\xff\xd8\xff(?:\xe0..JFIF\x00|\xe1..Exif\x00|[\xc0\xc4\xdb\xdd\xe2\xed\xee\xfe][\x00-\x0f])"  # JPEG
    rb"|\x89PNG\r\n\x1a\n"
    rb"|GIF8[79]a"
    rb"|BM.{4}\x00{4}.[\x00-\x04]\x00\x00[\x0c\x28\x34\x38\x6c\x7c]\x00\x00\x00"
    rb"|RIFF.{4}WEBPVP8"
    rb"|ftyp(?:hei[cx]|mif1|avif)"
    rb"|\x93NUMPY[\x01-\x03]\x00"  # an array file of NumPy, which may hold a frame
)
_SHAPES: tuple[tuple[re.Pattern[bytes], Callable[[re.Match[bytes], int], _Told]], ...] = (
    (re.compile(rb"[A-Za-z0-9+/_\\%-]{86,}+={0,2}"), _in_run),
    (_BASE64_LINES, _in_lines),
    (re.compile(rb"[-+\d.,;eE\s]{%d,}+" % (2 * SIZES[0] - 1)), _in_numbers),
    (re.compile(rb"""b\\*['"](?=[^\n]{64})"""), _in_notation),
    (re.compile(_PICTURES, re.DOTALL), _as("picture")),
    (re.compile(_KEY % {b"q": _Q}), _as("key")),
    (re.compile(_VISITOR % {b"q": _Q}), _as("visitor")),
    (re.compile(_SEALED % {b"q": _Q}), _in_brackets),
    (re.compile(rb"(?<![A-Za-z0-9])[a-z2-7]{16}(?![A-Za-z0-9])"), _as("word")),
)
"""Candidate patterns, each with the function that recognises what it is."""
