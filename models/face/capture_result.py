"""The result of a capture. Imports no vision library."""

from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

__all__ = ["Embedding", "NotSeen", "Poor", "Reason", "Seen"]

Embedding = NDArray[np.float32]
"""A unit vector that is close to others of the same person; its length is the face model's."""

Poor = Literal["too_small", "unsure", "blurred", "turned_away"]
"""Why the quality gate refused a face."""
Reason = Literal["no_picture", "no_face"] | Poor
"""Why there is no template; `no_picture`: the camera or the vision process failed or timed out."""


class Seen(Struct, frozen=True, kw_only=True):
    """The template of a capture; nothing else leaves the device."""

    model: str
    epoch: int
    template: bytes


class NotSeen(Struct, frozen=True, kw_only=True):
    """The reason why there is no template; with several faces, that of the largest."""

    reason: Reason
