"""Sends the settings of the sites file to the decider, as events."""

from models.contract.codec import encode
from models.ledger.events import SiteConfigured
from models.ledger.rules.policy import Sites
from models.settings import Settings
from stream_processors.runtime.kafka import open_producer

__all__ = ["configure_sites"]


async def configure_sites(settings: Settings, sites: Sites) -> None:
    """Append the settings of each site; repeating it changes nothing."""
    async with open_producer(settings) as producer:
        for name, spec in sites.sites.items():
            event = SiteConfigured(
                site=name, mode=spec.mode, policy=spec.policy, placement=spec.placement, sign=spec.sign
            )
            await producer.send_and_wait(settings.topics.events, encode(event), key=name.encode())
