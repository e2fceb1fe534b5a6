"""Files of the machine that a dispenser reads."""

from pathlib import Path

from models.errors import ConfigError
from models.ledger.rules.policy import Sites, parse_sites
from models.settings import Settings

__all__ = ["boot_id", "read_sites"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Linux: a new value at each boot (random(4))."""


def boot_id() -> str:
    """Return the id of the current boot, which is also the scope of the monotonic clock; "" if it is unknown."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def read_sites(settings: Settings) -> Sites:
    """Read the operator's sites file, for a simulated fleet; raises ConfigError with the name of the file."""
    return parse_sites(_read_text(settings.sites), str(settings.sites))


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
