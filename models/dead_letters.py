"""What is kept of a message that cannot be read: why, where from, how large, its hash; never the payload of a face."""

import hashlib

from msgspec import Struct

__all__ = ["DeadLetter"]

_MAX_SOURCE = 200


class DeadLetter(Struct, frozen=True, kw_only=True):
    """A record of `fairroll.dead-letters`."""

    source: str
    """the MQTT topic, or topic/partition/offset in Kafka"""
    reason: str
    size: int
    """bytes of the payload"""
    sha256: str

    @classmethod
    def of(cls, source: str, payload: bytes, reason: str) -> "DeadLetter":
        """Describe a payload without keeping it."""
        digest = hashlib.sha256(payload).hexdigest()
        return cls(source=source[:_MAX_SOURCE], reason=reason, size=len(payload), sha256=digest)
