"""Sites in Kafka without a decider, for tests of those who follow them."""

import time

from models.contract.codec import encode
from models.contract.messages import Revision
from models.ledger.rules.policy import Sites
from models.ledger.rules.registry import RegisteredSite
from models.settings import Settings
from stream_processors.runtime.kafka import open_producer

__all__ = ["register"]


async def register(settings: Settings, sites: Sites) -> None:
    """Write what a decider does for these sites."""
    revision = Revision(time.time_ns() // 1_000_000, 0)
    async with open_producer(settings) as producer:
        for name, spec in sites.sites.items():
            entry = RegisteredSite(site=name, revision=revision, spec=spec)
            await producer.send_and_wait(settings.topics.sites, encode(entry), key=name.encode())
