"""Key files: 32 random bytes in hex; a site's key is preceded by its epoch."""

import hashlib
import hmac
import re
from typing import NamedTuple

from models.errors import ConfigError

__all__ = [
    "KEY_BYTES",
    "PIPELINE_ID",
    "PIPELINE_KEY",
    "SiteKey",
    "parse_key",
    "parse_site_key",
    "pipeline_id",
    "site_key_name",
]

KEY_BYTES = 32
PIPELINE_KEY = "pipeline.key"
"""File of the secret that pseudonyms are derived from; read by deciders and replay only."""
PIPELINE_ID = "pipeline.id"
"""File of the pipeline's id, which is public."""
_ID_DIGITS = 16


class SiteKey(NamedTuple):
    """The key that protects a site's templates during one epoch."""

    epoch: int
    key: bytes

    def __str__(self) -> str:
        """Return the text of the file: epoch, space, key in hex. It contains the secret."""
        return f"{self.epoch} {self.key.hex()}\n"

    def __repr__(self) -> str:
        """Return the epoch without the key, for logs and tracebacks."""
        return f"SiteKey(epoch={self.epoch})"


def pipeline_id(pipeline_secret: bytes) -> str:
    """Return an id derived from the secret that does not reveal it: 64 bits of HMAC-SHA256 in hex."""
    return hmac.digest(pipeline_secret, b"fairroll pipeline", hashlib.sha256).hex()[:_ID_DIGITS]


def site_key_name(site: str) -> str:
    """Return the file name of a site's template key."""
    return f"site-{site}.key"


def parse_key(text: str, source: str) -> bytes:
    """Parse a key file; raises ConfigError naming the file."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{source} is not a key of {KEY_BYTES} bytes in hex: remove it to get a new one")
    return key


def parse_site_key(text: str, source: str) -> SiteKey:
    """Parse epoch and key; a key without an epoch belongs to epoch 0. Raises ConfigError."""
    match text.split():
        case [epoch, key] if re.fullmatch("[0-9]{1,16}", epoch):
            return SiteKey(int(epoch), parse_key(key, source))
        case [key]:
            return SiteKey(0, parse_key(key, source))
        case _:
            raise ConfigError(f"{source} is not an epoch and a key in hex: remove it to get a new one")
