"""The eye: what the vision sees becomes a template under the site's key. The key stays in this process."""

from typing import Protocol

import structlog

from devices.session.site_key import KeyUnavailable, SiteKeyChain
from models.face.capture_result import Embedding, NotSeen, Seen

__all__ = ["EmbeddingCapture", "TemplateCapture"]

log = structlog.get_logger()


class EmbeddingCapture(Protocol):
    """Camera and networks, wherever they run."""

    async def capture(self) -> Embedding | NotSeen:
        """Look once, in bounded time. Never raises."""
        ...


class TemplateCapture:
    """Nothing but the template leaves it: neither the embedding nor the picture is kept."""

    def __init__(self, vision: EmbeddingCapture, chain: SiteKeyChain) -> None:
        """`vision` looks with the face model of the chain's protector."""
        self._vision = vision
        self._chain = chain

    async def capture(self) -> Seen | NotSeen:
        """Look once, and protect what is seen under the key of the epoch that is then."""
        embedding = await self._vision.capture()
        if isinstance(embedding, NotSeen):
            return embedding
        protector = self._chain.protector
        try:
            template = protector.protect(embedding)
        except ValueError as error:
            log.error("look failed", error=str(error))
            return NotSeen(reason="no_picture")
        return Seen(model=protector.model.id, epoch=protector.epoch, template=template)

    def follow(self, epoch: int) -> KeyUnavailable | None:
        """See SiteKeyChain."""
        return self._chain.follow(epoch)
