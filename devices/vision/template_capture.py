"""Capture of a template: an embedding protected under the site key. The key stays in this process."""

from typing import Protocol

import structlog

from devices.session.site_key import KeyUnavailable, SiteKeyChain
from models.face.capture_result import Embedding, NotSeen, Seen

__all__ = ["EmbeddingCapture", "TemplateCapture"]

log = structlog.get_logger()


class EmbeddingCapture(Protocol):
    """Captures embeddings with camera and networks, in any process."""

    async def capture(self) -> Embedding | NotSeen:
        """Capture once, with a timeout. Never raises."""
        ...


class TemplateCapture:
    """Captures templates: neither the embedding nor the picture is kept."""

    def __init__(self, vision: EmbeddingCapture, chain: SiteKeyChain) -> None:
        """`vision` uses the face model of the chain's protector."""
        self._vision = vision
        self._chain = chain

    async def capture(self) -> Seen | NotSeen:
        """Capture once, and protect the embedding under the key of the current epoch."""
        embedding = await self._vision.capture()
        if isinstance(embedding, NotSeen):
            return embedding
        protector = self._chain.protector
        try:
            template = protector.protect(embedding)
        except ValueError as error:
            log.error("capture failed: embedding cannot be protected", error=str(error))
            return NotSeen(reason="no_picture")
        return Seen(model=protector.model.id, epoch=protector.epoch, template=template)

    def follow(self, epoch: int) -> KeyUnavailable | None:
        """Step the site key; see SiteKeyChain.follow."""
        return self._chain.follow(epoch)
