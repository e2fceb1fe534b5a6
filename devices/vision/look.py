"""One look: the camera's picture becomes an embedding, or a reason. Never raises."""

import asyncio

import structlog

from devices.hardware.camera import Camera
from models.face.capture_result import Embedding, NotSeen
from models.face.picture import BadPicture
from models.face.vision import Vision

__all__ = ["InThread", "look"]

log = structlog.get_logger()


def look(camera: Camera, vision: Vision) -> Embedding | NotSeen:
    """Take a picture and see who asks. The picture is gone when this returns."""
    try:
        picture = camera.look()
        if isinstance(picture, BadPicture):
            log.warning("no picture", reason=picture.reason)
            return NotSeen(reason="no_picture")
        return vision.see(picture)
    except Exception as error:  # noqa: BLE001 - a driver and a network may fail in any way; the button goes on
        log.error("look failed", error=repr(error))
        return NotSeen(reason="no_picture")


class InThread:
    """Looks in a thread of this process, for demonstrations: one that hangs keeps the process from ending."""

    def __init__(self, camera: Camera, vision: Vision) -> None:
        self._camera = camera
        self._vision = vision

    async def look(self) -> Embedding | NotSeen:
        return await asyncio.to_thread(look, self._camera, self._vision)
