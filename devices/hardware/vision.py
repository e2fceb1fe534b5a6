"""Camera and vision together: a look becomes a template."""

import asyncio
from pathlib import Path

from msgspec import structs

from devices.hardware.camera import Camera, PhotoFolder
from devices.session.site_key import Astray, Chain
from models.face.capture_result import NotSeen, Seen
from models.face.vision import Vision, open_vision

__all__ = ["CameraEye", "open_eye"]


class CameraEye:
    """Nothing but the template leaves it; the picture is not kept."""

    def __init__(self, camera: Camera, vision: Vision, chain: Chain) -> None:
        """`vision` has the chain's protector."""
        self._camera = camera
        self._vision = vision
        self._chain = chain

    async def look(self) -> Seen | NotSeen:
        """Take a look, in a thread: a fraction of a second of computing."""
        vision = self._vision
        return await asyncio.to_thread(lambda: vision.see(self._camera.look()))

    def follow(self, epoch: int) -> Astray | None:
        """See Chain; the networks stay loaded."""
        astray = self._chain.follow(epoch)
        self._vision = structs.replace(self._vision, protector=self._chain.protector)
        return astray


def open_eye(photos: Path, chain: Chain, weights: Path) -> CameraEye:
    """A camera that sees photos, and the networks of the chain's face model; raises ConfigError."""
    return CameraEye(PhotoFolder(photos), open_vision(chain.protector, weights), chain)
