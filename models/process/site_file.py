"""Reads the operator's sites file, for commands and simulated fleets: the services follow Kafka."""

from pathlib import Path

from models.errors import ConfigError
from models.ledger.rules.policy import Sites, parse_sites

__all__ = ["read_sites"]


def read_sites(path: Path) -> Sites:
    """Read the sites file; raises ConfigError naming the file and the place in it."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the sites file {path}: {error}; FAIRROLL_SITES names it") from None
    return parse_sites(text, str(path))
