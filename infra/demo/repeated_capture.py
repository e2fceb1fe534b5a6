"""Compares the templates of one visitor in the demo, to show how similar two captures are."""

from devices.hardware.panel import FaceCapture
from models.face.capture_result import NotSeen, Seen
from models.face.protection import equal_bits

__all__ = ["RepeatedCapture"]


class RepeatedCapture:
    """Captures templates and compares each with the first one, which stays in memory as long as this object."""

    def __init__(self, capture: FaceCapture) -> None:
        self._capture = capture
        self._first: Seen | None = None
        self.comparison = ""
        """equal bits of the last template and the first; empty for the first, and without a template"""

    async def capture(self) -> Seen | NotSeen:
        """Capture once."""
        seen = await self._capture.capture()
        self.comparison = ""
        if isinstance(seen, NotSeen):
            return seen
        if self._first and self._first.epoch == seen.epoch:
            self.comparison = f"{equal_bits(self._first.template, seen.template)} of {8 * len(seen.template)}"
        else:
            self._first = seen
        return seen
