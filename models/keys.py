"""Keys in files: 32 random bytes, in hex."""

from models.errors import ConfigError

__all__ = ["KEY_BYTES", "PIPELINE_KEY", "parse_key", "site_key_name"]

KEY_BYTES = 32
PIPELINE_KEY = "pipeline.key"
"""The file of the secret that pseudonyms come from; only deciders and replay read it."""


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
