"""Compares the templates of one visitor in the demo, so that it shows how alike two pictures are."""

from devices.hardware.panel import FaceCapture
from models.face.capture_result import NotSeen, Seen
from models.face.protection import BITS, equal_bits

__all__ = ["RepeatedCapture"]


class RepeatedCapture:
    """Captures templates and compares each with the first one, which stays in memory as long as this object."""

    def __init__(self, capture: FaceCapture) -> None:
        self._capture = capture
        self._first: Seen | None = None
        self.comparison = ""
        """the bits that the last template shares with the first; empty for the first, and without a template"""

    async def capture(self) -> Seen | NotSeen:
        """Capture once."""
        seen = await self._capture.capture()
        self.comparison = ""
        if isinstance(seen, NotSeen):
            return seen
        if self._first and self._first.epoch == seen.epoch:
            self.comparison = f"{equal_bits(self._first.template, seen.template)} of {BITS}"
        else:
            self._first = seen
        return seen
