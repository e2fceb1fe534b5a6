"""The operator's sites file: read by ingress, sent to the decider as events."""

from pathlib import Path

from models.contract.codec import encode
from models.errors import ConfigError
from models.ledger.events import SiteConfigured
from models.ledger.rules.policy import Sites, parse_sites
from models.settings import Settings
from stream_processors.runtime.kafka import open_producer

__all__ = ["configure_sites", "read_sites"]


def read_sites(path: Path) -> Sites:
    """Read the sites file; raises ConfigError naming the file and the place in it."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the sites file {path}: {error}; FAIRROLL_SITES names it") from None
    return parse_sites(text, str(path))


async def configure_sites(settings: Settings, sites: Sites) -> None:
    """Append the settings of each site; repeating it changes nothing."""
    async with open_producer(settings) as producer:
        for name, spec in sites.sites.items():
            event = SiteConfigured(
                site=name, mode=spec.mode, policy=spec.policy, placement=spec.placement, sign=spec.sign
            )
            await producer.send_and_wait(settings.topics.events, encode(event), key=name.encode())
