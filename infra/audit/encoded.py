"""Finds templates, and wrapped data, in a run of base64, hex or binary digits. Pure.

64 bytes are 86 digits of base64, 256 are 342. The whole run may be a template, or a part of it between separators:
`/` and `-` are digits, and they also separate the levels of a topic and the words of a file name. A part counts if the
rest of the run consists of plain words or cannot be base64; in other base64 it is a coincidence.
"""

import base64
import re
from array import array
from collections.abc import Iterator, Sequence
from typing import Final

from models.contract.face_models import FACE_MODELS

__all__ = [
    "SIZES",
    "are_embedding_floats",
    "are_mixed",
    "are_template_numbers",
    "is_text",
    "templates",
    "undone",
    "unwrapped",
]

SIZES: Final = tuple(sorted({model.template_bytes for model in FACE_MODELS.values()}))
"""Bytes of a template, by the face models of this version."""
_LAST: Final = {0: "", 1: "[AQgw]", 2: "[AEIMQUYcgkosw048]"}
"""The last digit of base64 where one or two bytes are left over: its low bits are 0."""
_FEWEST_NUMBERS = 100
_SMALLEST, _LARGEST = 1e-9, 1e4
"""Range of the numbers of an embedding; four random bytes are in it one time in six."""
_ONE_SIGN = 0.9
"""Largest share of one sign in an embedding; times, sizes and counts have one sign only."""

_ALPHABETS = tuple(
    re.compile(
        rb"(?:\A|(?<=[/+_-]))(?=([A-Za-z0-9%b]{%d}%b)(?:[/+_-]|={1,2}|\Z))"
        % (own, 8 * size // 6, _LAST[size % 3].encode())
    )
    for own in (rb"+/", rb"_-")
    for size in SIZES
)
_HEX = tuple(
    re.compile(rb"(?<![A-Za-z0-9])(?:0x)?([0-9a-f]{%d}|[0-9A-F]{%d})(?![A-Za-z0-9])" % (2 * size, 2 * size))
    for size in SIZES
)
_BITS = tuple(re.compile(rb"(?<![A-Za-z0-9])[01]{%d}(?![A-Za-z0-9])" % (8 * size)) for size in SIZES)
_FEWEST_ONES, _MOST_ONES = 150 / 512, 362 / 512
"""Shares of random bits; of 512 they are outside of these one time in 10^20."""
_FEWEST_HEX = 8
"""fewest different hex digits: in 128 random ones all 16 occur"""
_KINDS = tuple(
    map(re.compile, (rb"[a-z]", rb"[A-Z]", rb"[0-9]+", rb"[/+_-]", rb"(?<=[A-Z0-9])[a-z](?=[A-Z0-9])")),
)
"""Small letters, capitals, figures, separators, single small letters: of 86 by chance 35, 35, 11, 3, 11; names 0
single."""
_FEWEST_LETTERS, _FEWEST_FIGURES, _MOST_SEPARATORS = 10 / 86, 7 / 86, 14 / 86
"""Shares of the digits. Of two million random templates of 86 digits one was outside."""
_SEPARATORS = re.compile(rb"[/+_-]+")
_FEWEST_BYTES, _HIGH = 30, 192
"""fewest different bytes among 64 random ones, and the least value of their largest"""
_WORD = re.compile(rb"[A-Za-z]?[a-z0-9]*|[A-Z0-9]*")
_LONG = rb"(?:[A-Za-z][a-z]{3,}|[A-Z]{4,})"
_A_LONG_WORD = re.compile(rb"(?:\A|[/+_-])%b(?:[/+_-]|\Z)" % _LONG)
_BEFORE = re.compile(rb"(?:(?:\A|[/+_-])%b[+_-]|[A-Za-z0-9]{2}/)\Z" % _LONG)
_BEHIND = re.compile(rb"\A(?:[+_-]%b(?:[/+_-]|\Z)|/[A-Za-z0-9]{2})" % _LONG)
"""A level of a topic or a path, or a word joined by another separator than `/`."""
_LONGEST_PATH = 512
_NAMED = re.compile(rb"(?i)(?:sha-?512|signature)")
_OF_ANOTHER = re.compile(_NAMED.pattern + rb"[^A-Za-z0-9]{0,6}\Z")
"""The text before 64 bytes that are a hash or an Ed25519 signature."""
_LONGEST_NAME = 16
_ESCAPE = re.compile(rb"\\(?:u00([0-9a-fA-F]{2})|x([0-9a-fA-F]{2})|(.))|%([0-9a-fA-F]{2})", re.DOTALL)
_CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
_PLAIN = bytes.maketrans(b"-_", b"+/")
_PRINTABLE = frozenset(b"\t\n\r" + bytes(range(0x20, 0x7F)))


def templates(run: bytes, before: bytes = b"") -> Iterator[bytes]:
    """Yield the templates in a run, as programs write them. `before`: the bytes before the run."""
    for pattern in (*_HEX, *_BITS):
        for match in pattern.finditer(run):
            digits = match[match.lastindex or 0]
            if _is_template_digits(digits) and not _is_of_another(before + run[: match.start()]):
                yield digits
    yield from _base64_templates(run, before)


def _base64_templates(run: bytes, before: bytes) -> list[bytes]:
    """Return the templates in base64; of those that overlap, the most certain one."""
    found: list[tuple[int, int, int]] = []
    for alphabet in _ALPHABETS:
        for match in alphabet.finditer(run):
            begin, end = match.span(1)
            if certainty := _certainty(run, begin, end, before):
                found.append((-certainty, begin, end))
    chosen: list[tuple[int, int]] = []
    for _, begin, end in sorted(found):
        if all(end <= other or begin >= behind for other, behind in chosen):
            chosen.append((begin, end))
    return [run[begin:end] for begin, end in chosen]


def unwrapped(run: bytes) -> bytes:
    """Decode base64 whose ends may be cut."""
    text = run.rstrip(b"=").translate(_PLAIN)
    return base64.b64decode(text[: len(text) - (len(text) % 4 == 1)] + b"==")


def undone(text: bytes) -> bytes:
    r"""Undo one layer of escapes, as JSON, Python and URLs write them: `\/`, `\n`, `\u002b`, `\x2b`, `%2B`."""
    return _ESCAPE.sub(_character, text)


def is_text(held: bytes) -> bool:
    """Whether it is printable ASCII; 64 random bytes are printable one time in 10^28."""
    return _PRINTABLE.issuperset(held)


def are_embedding_floats(held: bytes) -> bool:
    """Whether it is an array of 32-bit or 64-bit floating-point numbers of ordinary size and mixed signs."""
    for code in ("f", "d"):
        numbers = array(code)
        if len(held) % numbers.itemsize == 0 and len(held) >= _FEWEST_NUMBERS * numbers.itemsize:
            numbers.frombytes(held)
            sizes = all(not number or _SMALLEST < abs(number) < _LARGEST for number in numbers)
            if sizes and are_mixed(sum(number < 0 for number in numbers), sum(number > 0 for number in numbers)):
                return True
    return False


def are_template_numbers(numbers: Sequence[bytes]) -> bool:
    """Whether these whole numbers could be the bytes of a template, or its bits."""
    if len(numbers) in SIZES and all(number.isdigit() for number in numbers):
        values = {int(number) for number in numbers}
        return len(values) >= _FEWEST_BYTES and _HIGH <= max(values) < 256  # noqa: PLR2004 - bytes
    if len(numbers) // 8 in SIZES and len(numbers) % 8 == 0 and set(numbers) == {b"0", b"1"}:
        return _FEWEST_ONES <= numbers.count(b"1") / len(numbers) <= _MOST_ONES
    return False


def are_mixed(negative: int, positive: int) -> bool:
    """Whether so many numbers of either sign could be those of an embedding."""
    return 0 < max(negative, positive) < _ONE_SIGN * (negative + positive)


def _certainty(run: bytes, begin: int, end: int, before: bytes) -> int:
    """Return how certain it is that these digits are a template; 0: part of longer base64, text or a hash."""
    digits, is_padded = run[begin:end], run.startswith(b"=", end)
    left, right = run[max(0, begin - _LONGEST_PATH) : begin], run[end:].lstrip(b"=")[:_LONGEST_PATH]
    if not _is_random(digits, is_padded=is_padded) or _is_of_another(before + left) or _NAMED.search(digits):
        return 0
    foreign = _foreign_to(digits)
    ahead = 2 * _are_words(left, _BEFORE) or 1 * (left[-1:] in foreign)
    behind = 2 * (is_padded or _are_words(right, _BEHIND)) or 1 * (right[:1] in foreign)
    return ahead and behind and ahead + behind


def _is_of_another(before: bytes) -> bool:
    return _OF_ANOTHER.search(before[-_LONGEST_NAME:]) is not None


def _foreign_to(digits: bytes) -> tuple[bytes, ...]:
    """What cannot be a digit next to these: nothing at all, and the characters of the other alphabet."""
    if b"+" in digits or b"/" in digits:
        return b"", b"-", b"_"
    if b"-" in digits or b"_" in digits:
        return b"", b"+", b"/"
    return (b"",)


def _are_words(side: bytes, beside: re.Pattern[bytes]) -> bool:
    """Whether a side of the digits consists of words up to the end of the run, and not of random letters."""
    if len(side) == _LONGEST_PATH or not (beside.search(side) and _A_LONG_WORD.search(side)):
        return False
    return all(_WORD.fullmatch(word) for word in _SEPARATORS.split(side))


def _is_random(digits: bytes, *, is_padded: bool) -> bool:
    """Whether the digits are no text; without padding, also whether they are mixed as by chance, not as in names."""
    if is_text(unwrapped(digits)) or len(set(digits)) == 1:
        return False
    if is_padded:
        return True
    small, capitals, figures, separators, alone = (len(kind.findall(digits)) for kind in _KINDS)
    if min(small, capitals) < _FEWEST_LETTERS * len(digits) or separators > _MOST_SEPARATORS * len(digits):
        return False
    return alone > 0 or figures >= _FEWEST_FIGURES * len(digits)


def _is_template_digits(digits: bytes) -> bool:
    """Whether these hex or binary digits could be 512 random bits, and are no text."""
    if set(digits) <= {*b"01"}:
        return _FEWEST_ONES <= digits.count(b"1") / len(digits) <= _MOST_ONES
    return len(set(digits)) >= _FEWEST_HEX and not is_text(bytes.fromhex(digits.decode()))


def _character(escape: re.Match[bytes]) -> bytes:
    if code := escape[1] or escape[2] or escape[4]:
        return bytes([int(code, 16)])
    return _CONTROLS.get(escape[3], escape[3])
