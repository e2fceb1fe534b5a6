"""Dead letters: source, reason, size and hash of a message that cannot be read; never a face.

An unreadable report is kept too if nothing in it can be a template, so that it can be submitted again once the reason
is fixed. The rule inspects the content of the payload, not its kind.
"""

import hashlib
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from models.contract.messages import LEAST_TEMPLATE_BYTES
from models.contract.strict_json import check_unambiguous
from models.contract.topics import Topics
from models.errors import MalformedMessage

__all__ = ["DeadLetter"]

_MAX_SOURCE = 200
_MAX_KEPT_BYTES = 1024
"""Of a payload; a report has about 100."""
_MAX_FIELDS = 9
"""A report has six. Nine numbers of 53 bits are fewer bits than a template has."""
_MAX_TEXT = LEAST_TEMPLATE_BYTES * 8 // 6
"""Characters in all texts together: one fewer than a template needs in base64. A report has 80 at most."""

_Name = Annotated[str, Meta(pattern=r"^[a-z_]{1,20}\Z")]
_Text = Annotated[str, Meta(pattern=r"^[ -~]*\Z")]
_Whole = Annotated[int, Meta(ge=-(2**53), le=2**53)]
_Fields = Annotated[dict[_Name, _Text | _Whole | float | bool | None], Meta(max_length=_MAX_FIELDS)]
_fields: msgspec.json.Decoder[dict[str, object]] = msgspec.json.Decoder(_Fields)


class DeadLetter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record of `fairroll.dead-letters`."""

    source: str
    """the MQTT topic, or topic/partition/offset in Kafka"""
    reason: str
    size: int
    """bytes of the payload"""
    sha256: str
    payload: bytes | None = None
    """the fields of a report, encoded again; None if they may not be kept"""

    @classmethod
    def of(cls, source: str, payload: bytes, reason: str, topics: Topics) -> "DeadLetter":
        """Describe a payload, and keep it only if it is a report that cannot hold a template or an embedding."""
        digest = hashlib.sha256(payload).hexdigest()
        kept = _harmless(payload) if _is_report(source, topics) else None
        return cls(source=source[:_MAX_SOURCE], reason=reason, size=len(payload), sha256=digest, payload=kept)


def _is_report(source: str, topics: Topics) -> bool:
    try:
        return topics.parse(source).channel == "report"
    except MalformedMessage:
        return False


def _harmless(payload: bytes) -> bytes | None:
    """Return the fields of a flat JSON object of few words and numbers, encoded again; None for anything else."""
    if len(payload) > _MAX_KEPT_BYTES:
        return None
    try:
        check_unambiguous(payload)  # encoded again, a repeated name would become readable
        fields = _fields.decode(payload)
    except (MalformedMessage, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    texts = sum(len(value) for value in fields.values() if isinstance(value, str))
    return msgspec.json.encode(fields) if texts <= _MAX_TEXT else None
