"""Keys in files: 32 random bytes, in hex; before a site's key, the epoch that it is of."""

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
"""The file of the secret that pseudonyms come from; only deciders and replay read it."""
PIPELINE_ID = "pipeline.id"
"""The file of its id, which is no secret."""
_ID_DIGITS = 16


class SiteKey(NamedTuple):
    """What a site's devices turn faces into templates with, in one epoch."""

    epoch: int
    key: bytes

    def __str__(self) -> str:
        """Its file's text: the epoch, a space, the key in hex. It is the secret itself."""
        return f"{self.epoch} {self.key.hex()}\n"

    def __repr__(self) -> str:
        """Without the key, for logs and tracebacks."""
        return f"SiteKey(epoch={self.epoch})"


def pipeline_id(pipeline_secret: bytes) -> str:
    """Tell pipelines apart by their secrets, without telling those: 64 bits of HMAC-SHA256 in hex."""
    return hmac.digest(pipeline_secret, b"fairroll pipeline", hashlib.sha256).hex()[:_ID_DIGITS]


def site_key_name(site: str) -> str:
    """The file of the key that a site's devices turn faces into templates with."""
    return f"site-{site}.key"


def parse_key(text: str, source: str) -> bytes:
    """The key in a file's text; raises ConfigError naming the file."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{source} is not a key of {KEY_BYTES} bytes in hex: remove it to get a new one")
    return key


def parse_site_key(text: str, source: str) -> SiteKey:
    """The epoch and its key; a key alone, as older versions wrote it, is that of epoch 0. Raises ConfigError."""
    match text.split():
        case [epoch, key] if re.fullmatch("[0-9]{1,16}", epoch):
            return SiteKey(int(epoch), parse_key(key, source))
        case [key]:
            return SiteKey(0, parse_key(key, source))
        case _:
            raise ConfigError(f"{source} is not an epoch and a key in hex: remove it to get a new one")
