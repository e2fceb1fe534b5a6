"""The files that a device reads."""

from pathlib import Path

from models.errors import ConfigError
from models.keys import parse_key, site_key_name
from models.policy import Sites, parse_sites
from models.settings import Settings

__all__ = ["read_site_key", "read_sites"]


def read_site_key(settings: Settings, site: str) -> bytes:
    """The site's key of epoch 0; raises ConfigError naming the file."""
    path = settings.secrets / site_key_name(site)
    return parse_key(_text(path), str(path))


def read_sites(settings: Settings) -> Sites:
    """The operator's file of sites, for a simulated fleet; raises ConfigError naming the file."""
    return parse_sites(_text(settings.sites), str(settings.sites))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
