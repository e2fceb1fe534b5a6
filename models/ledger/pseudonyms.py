"""The pseudonym of a new visitor."""

import base64
import hmac

__all__ = ["pseudonym", "site_secret"]


def site_secret(pipeline_secret: bytes, site: str) -> bytes:
    """Return the secret from which a site's pseudonyms are made (HMAC-SHA256, RFC 2104)."""
    return hmac.digest(pipeline_secret, b"fairroll site " + site.encode(), "sha256")


def pseudonym(secret: bytes, device: str, request_id: str, offset: int) -> str:
    """Name a new visitor after the request that brought them: 80 bits of HMAC-SHA256, 16 characters.

    The offset keeps two people apart whose dispensers chose the same id, or one that used an id again.
    """
    digest = hmac.digest(secret, f"{device}/{request_id}/{offset}".encode(), "sha256")
    return base64.b32encode(digest[:10]).decode().lower()
