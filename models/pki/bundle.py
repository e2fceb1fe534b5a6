"""What an authority hands to the owner of a new certificate, in one file: nothing in it is secret.

PEM blocks in this order: the certificate, the authorities that its owner trusts (two during a rollover), the public
keys that sign controls (none, one, or two during a rollover).
"""

import re
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from msgspec import Struct

from models.errors import ConfigError

__all__ = ["Bundle", "control_keys_pem", "parse_bundle", "parse_control_keys"]

_BLOCK = re.compile(rb"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----\n?", re.DOTALL)


class Bundle(Struct, frozen=True, kw_only=True):
    """A certificate and what its owner verifies others with."""

    certificate: x509.Certificate
    authorities: Sequence[x509.Certificate]
    control_keys: Sequence[Ed25519PublicKey] = ()

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def authorities_pem(self) -> bytes:
        return b"".join(authority.public_bytes(Encoding.PEM) for authority in self.authorities)

    @property
    def control_keys_pem(self) -> bytes:
        return control_keys_pem(self.control_keys)

    def __bytes__(self) -> bytes:
        return self.certificate_pem + self.authorities_pem + self.control_keys_pem


def control_keys_pem(keys: Sequence[Ed25519PublicKey]) -> bytes:
    """A file of public keys."""
    return b"".join(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for key in keys)


def parse_bundle(pem: bytes) -> Bundle:
    """Raises ConfigError for a file that holds something else."""
    blocks = [(match[1], match[0]) for match in _BLOCK.finditer(pem)]
    try:
        certificates = [x509.load_pem_x509_certificate(block) for kind, block in blocks if kind == b"CERTIFICATE"]
    except ValueError:
        raise ConfigError("the file holds a certificate that cannot be read") from None
    if len(certificates) < 2:  # noqa: PLR2004 - its own, and at least one authority's
        raise ConfigError("the file is no bundle: it needs a certificate and that of its authority")
    return Bundle(certificate=certificates[0], authorities=certificates[1:], control_keys=parse_control_keys(pem))


def parse_control_keys(pem: bytes) -> tuple[Ed25519PublicKey, ...]:
    """The public keys of a file, each of which may have signed a control; raises ConfigError."""
    return tuple(_control_key(match[0]) for match in _BLOCK.finditer(pem) if match[1] == b"PUBLIC KEY")


def _control_key(block: bytes) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(block)
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError("the file holds a public key that is no Ed25519 key")
    return key
