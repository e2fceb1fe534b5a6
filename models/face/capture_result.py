"""The result of a capture. Imports no vision library."""

from typing import Literal

from msgspec import Struct

__all__ = ["NotSeen", "Poor", "Seen"]

Poor = Literal["too_small", "unsure", "blurred", "turned_away"]
"""Why the quality gate refused a face."""


class Seen(Struct, frozen=True, kw_only=True):
    """All that may leave the device."""

    model: str
    epoch: int
    template: bytes


class NotSeen(Struct, frozen=True, kw_only=True):
    """No template, and why: of several faces, the largest one's reason."""

    reason: Literal["no_face"] | Poor
