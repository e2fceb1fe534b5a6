"""Capture an embedding: one frame of the camera, or the reason why there is none."""

import asyncio

import structlog

from devices.hardware.camera import Camera
from models.face.capture_result import Embedding, NotSeen
from models.face.picture import BadPicture
from models.face.vision import Vision

__all__ = ["ThreadCapture", "capture_embedding"]

log = structlog.get_logger()


def capture_embedding(camera: Camera, vision: Vision) -> Embedding | NotSeen:
    """Capture a frame and compute the embedding of its face. The frame is dropped on return. Never raises."""
    try:
        picture = camera.capture()
        if isinstance(picture, BadPicture):
            log.warning("camera gave no picture", reason=picture.reason)
            return NotSeen(reason="no_picture")
        return vision.see(picture)
    except Exception as error:  # noqa: BLE001 - a driver or a network may raise anything; buttons still work
        log.error("capture failed", error=repr(error))
        return NotSeen(reason="no_picture")


class ThreadCapture:
    """Capture in a thread of this process, for demonstrations: a hanging camera keeps the process from ending."""

    def __init__(self, camera: Camera, vision: Vision) -> None:
        self._camera = camera
        self._vision = vision

    async def capture(self) -> Embedding | NotSeen:
        return await asyncio.to_thread(capture_embedding, self._camera, self._vision)
