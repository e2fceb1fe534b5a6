"""Camera and vision together: a look becomes a template."""

import asyncio
from pathlib import Path

from devices.camera import Camera, PhotoFolder
from models.face.seen import NotSeen, Seen
from models.face.vision import Vision, open_vision

__all__ = ["CameraEye", "open_eye"]


class CameraEye:
    """Nothing but the template leaves it; the picture is not kept."""

    def __init__(self, camera: Camera, vision: Vision) -> None:
        self._camera = camera
        self._vision = vision

    async def look(self) -> Seen | NotSeen:
        """Take a look, in a thread: a fraction of a second of computing."""
        return await asyncio.to_thread(lambda: self._vision.see(self._camera.look()))


def open_eye(photos: Path, model: str, site_key: bytes, weights: Path) -> CameraEye:
    """A camera that sees photos, and the networks of a face model; raises ConfigError."""
    return CameraEye(PhotoFolder(photos), open_vision(model, site_key, 0, weights))
