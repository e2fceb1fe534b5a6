"""The files that a device reads."""

from pathlib import Path

from models.errors import ConfigError
from models.ledger.policy import Sites, parse_sites
from models.settings import Settings

__all__ = ["boot_id", "read_sites"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Linux: another one after each start of the machine (random(4))."""


def boot_id() -> str:
    """Names the time since the machine was started, whose monotonic clock goes on; "" where nobody knows."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def read_sites(settings: Settings) -> Sites:
    """The operator's file of sites, for a simulated fleet; raises ConfigError naming the file."""
    return parse_sites(_text(settings.sites), str(settings.sites))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
