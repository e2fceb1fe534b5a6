"""One-time tokens: its holder may ask for one certificate, without reading out a fingerprint.

The operator invites a name and gives the token to the person at the dispenser. The request carries a proof: the
HMAC-SHA256 of its public key under the token, as the challenge password of PKCS #9. The token itself does not travel
with it, and a proof fits no other key.
"""

import hmac
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AttributeOID
from msgspec import Struct

__all__ = ["INVITED_FOR", "TOKEN_BYTES", "Invitation", "is_invited", "proof", "proof_of"]

TOKEN_BYTES: Final = 10
"""80 random bits: 16 letters and figures in base32"""
INVITED_FOR: Final = timedelta(days=7)


class Invitation(Struct, frozen=True, kw_only=True):
    """A name that may get one certificate."""

    name: str
    token: str
    until: datetime


def proof(token: str, key: EllipticCurvePublicKey) -> str:
    """What shows that the owner of a key knows the token; spaces and case of the token do not count."""
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hmac.digest("".join(token.split()).upper().encode(), spki, "sha256").hex()


def proof_of(request: x509.CertificateSigningRequest) -> str:
    """The proof that a request carries; empty if it has none."""
    try:
        return request.attributes.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD).value.decode(errors="replace")
    except x509.AttributeNotFound:
        return ""


def is_invited(invitation: Invitation, name: str, shown: str, key: EllipticCurvePublicKey, now: datetime) -> bool:
    """Whether a proof fits an invitation for this name that has not ended."""
    fits = hmac.compare_digest(proof(invitation.token, key).encode(), shown.encode())
    return fits and invitation.name == name and now <= invitation.until
