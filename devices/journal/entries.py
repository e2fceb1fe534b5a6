"""The journal's entries: each field of the memory and each report is one, and is read for itself.

What cannot be read is left out and named, and everything else is kept: one bad entry costs neither the other reports
nor the numbers that they go on from.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from devices.machine.persistent_state import Memory, PendingReport
from models.contract.codec import encode

__all__ = ["Unreadable", "read_memory", "write_rest"]

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_decoders: Mapping[str, msgspec.json.Decoder[Any]] = {
    field.name: msgspec.json.Decoder(field.type) for field in structs.fields(Memory) if field.name != "reports"
}
_kept = msgspec.json.Decoder(PendingReport)


class Unreadable(NamedTuple):
    """An entry that was left out."""

    name: str
    text: bytes
    reason: str


def write_rest(memory: Memory) -> bytes:
    """The memory without its reports, at most some kilobytes."""
    return encode(structs.replace(memory, reports=()))


def read_memory(rest: bytes, reports: Iterable[tuple[int, bytes]]) -> tuple[Memory, list[Unreadable]]:
    """Read what `write_rest` wrote, and the reports with their numbers, ascending; with it, what was left out."""
    values, unreadable = _read_fields(rest)
    last_number, kept = values.pop("last_number", 0), list[PendingReport]()
    for number, text in reports:
        last_number = max(last_number, number)
        try:
            kept.append(_read_report(number, text))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            unreadable.append(Unreadable(f"report {number}", text, str(error)))
    return Memory(**values, reports=tuple(kept), last_number=last_number), unreadable


def _read_report(number: int, text: bytes) -> PendingReport:
    kept = _kept.decode(text)
    if kept.report.number != number:
        raise msgspec.ValidationError(f"it says that it is report {kept.report.number}")
    return kept


def _read_fields(text: bytes) -> tuple[dict[str, Any], list[Unreadable]]:
    """The fields that can be read; the others have their defaults."""
    try:
        fields = _fields.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return {}, [Unreadable("memory", text, str(error))]
    values: dict[str, Any] = {}
    unreadable: list[Unreadable] = []
    for name in _decoders.keys() & fields.keys():
        try:
            values[name] = _decoders[name].decode(fields[name])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            unreadable.append(Unreadable(name, bytes(fields[name]), str(error)))
    return values, unreadable
