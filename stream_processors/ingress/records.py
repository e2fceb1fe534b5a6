"""What ingress takes from MQTT and gives to Kafka."""

from typing import NamedTuple

__all__ = ["Publication", "Record"]


class Publication(NamedTuple):
    """What came over MQTT."""

    topic: str
    payload: bytes
    expiry_s: int | None = None
    """what was left of its expiry when it came"""
    held_s: float = 0.0
    """how long ago that was"""


class Record(NamedTuple):
    """What goes to Kafka."""

    topic: str
    key: str
    value: bytes
    """empty: what the topic holds of the key is removed"""
