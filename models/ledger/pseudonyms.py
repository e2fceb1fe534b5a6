"""The pseudonym of a new visitor."""

import base64
import hmac

__all__ = ["pseudonym", "site_secret"]


def site_secret(pipeline_secret: bytes, site: str) -> bytes:
    """Return the secret from which a site's pseudonyms are made (HMAC-SHA256, RFC 2104)."""
    return hmac.digest(pipeline_secret, b"fairroll site " + site.encode(), "sha256")


def pseudonym(secret: bytes, device: str, request_id: str, offset: int) -> str:
    """Derive the pseudonym of a new visitor from the first request: 80 bits of HMAC-SHA256, 16 characters.

    The offset distinguishes visitors whose dispensers chose the same id, or one dispenser that reused an id.
    """
    digest = hmac.digest(secret, f"{device}/{request_id}/{offset}".encode(), "sha256")
    return base64.b32encode(digest[:10]).decode().lower()
