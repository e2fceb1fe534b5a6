"""Encoding of the journal's entries: each field of the memory and each report is one entry, decoded separately.

An entry that cannot be decoded is left out and returned as Unreadable; all other entries and the report numbers are
kept.
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
_pending = msgspec.json.Decoder(PendingReport)


class Unreadable(NamedTuple):
    """An entry that was left out."""

    name: str
    text: bytes
    reason: str


def write_rest(memory: Memory) -> bytes:
    """Encode the memory without its reports, at most a few kilobytes."""
    return encode(structs.replace(memory, reports=()))


def read_memory(rest: bytes, reports: Iterable[tuple[int, bytes]]) -> tuple[Memory, list[Unreadable]]:
    """Decode the result of `write_rest` and the reports, in ascending order; also return the unreadable entries."""
    values, unreadable = _read_fields(rest)
    last_number, pending = values.pop("last_number", 0), list[PendingReport]()
    for number, text in reports:
        last_number = max(last_number, number)
        try:
            pending.append(_read_report(number, text))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            unreadable.append(Unreadable(f"report {number}", text, str(error)))
    return Memory(**values, reports=tuple(pending), last_number=last_number), unreadable


def _read_report(number: int, text: bytes) -> PendingReport:
    pending = _pending.decode(text)
    if pending.report.number != number:
        raise msgspec.ValidationError(f"the entry contains report {pending.report.number}")
    return pending


def _read_fields(text: bytes) -> tuple[dict[str, Any], list[Unreadable]]:
    """Decode the fields; an unreadable field is left out and gets its default."""
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
