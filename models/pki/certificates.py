"""The certificate policy: what an authority of a deployment signs, and for how long.

| certificate | key usage | extended key usage | lifetime |
|---|---|---|---|
| authority | keyCertSign, cRLSign | - | 10 years |
| broker | digitalSignature | serverAuth | 90 days |
| service | digitalSignature | clientAuth | 90 days |
| dispenser | digitalSignature | clientAuth | 30 days |

Keys are ECDSA P-256 (TLS 1.2 and 1.3, secure elements too), signatures SHA-256, serial numbers random (RFC 5280).
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID, NameOID

from models.errors import ConfigError
from models.pki.names import BROKER

__all__ = [
    "AUTHORITY_LIFETIME",
    "Authority",
    "certificate_request",
    "common_name",
    "elliptic_key",
    "fingerprint",
    "is_signed_by",
    "lifetime",
    "read_certificate",
    "read_request",
    "requested_name",
    "revocation_list",
    "self_signed",
    "sign",
]

AUTHORITY_LIFETIME: Final = timedelta(days=3650)
_DEVICE_LIFETIME = timedelta(days=30)
_SERVICE_LIFETIME = timedelta(days=90)
_CRL_LIFETIME: Final = timedelta(days=3650)
"""A CRL that has run out refuses every client (OpenSSL, X509_V_ERR_CRL_HAS_EXPIRED). The broker reads a local file, so
that a long lifetime hides no revocation."""
_BACKDATED: Final = timedelta(minutes=5)
"""Clocks of devices differ."""
_FINGERPRINT_DIGITS: Final = 32


class Authority(NamedTuple):
    """The certificate of an authority, and its key."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey


def self_signed(key: EllipticCurvePrivateKey, name: str, now: datetime, serial: int) -> Authority:
    """Make the certificate of a new authority, which signs end entities only."""
    builder = _builder(_subject(name), _subject(name), key.public_key(), now, serial, AUTHORITY_LIFETIME)
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return Authority(certificate, key)


def certificate_request(key: EllipticCurvePrivateKey, name: str, proof: str = "") -> x509.CertificateSigningRequest:
    """Ask for a certificate of that name; the signature proves that the asker has the key (PKCS #10, RFC 2986).

    `proof`: that the asker was invited (models.pki.invitations).
    """
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(name))
    if proof:
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, proof.encode())
    return builder.sign(key, SHA256())


def read_request(pem: bytes, name: str) -> x509.CertificateSigningRequest:
    """Parse a request and check its signature, its key, and that it is for `name`. Raises ConfigError."""
    try:
        request = x509.load_pem_x509_csr(pem)
    except ValueError:
        raise ConfigError("the file holds no certificate request in PEM") from None
    if not request.is_signature_valid:
        raise ConfigError("the request is not signed with its own key")
    elliptic_key(request.public_key())
    if _common_name(request.subject) != name:
        raise ConfigError(f"the request is for {_common_name(request.subject)}, not for {name}")
    return request


def read_certificate(pem: bytes) -> x509.Certificate:
    """Parse the first certificate of a file; raises ConfigError."""
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise ConfigError("the file holds no certificate in PEM") from None


def sign(
    authority: Authority,
    request: x509.CertificateSigningRequest,
    *,
    now: datetime,
    serial: int,
    lasts: timedelta | None = None,
    hosts: Iterable[str] = (),
) -> x509.Certificate:
    """Sign a checked request. Only its name and its key are taken; everything else is policy.

    `hosts`: names and addresses of the broker. Raises ConfigError for a lifetime beyond the authority's.
    """
    name = _common_name(request.subject)
    lasts = lasts or lifetime(name)
    if now + lasts > authority.certificate.not_valid_after_utc:
        ends = authority.certificate.not_valid_after_utc
        raise ConfigError(f"the authority's own certificate ends on {ends:%Y-%m-%d}: make a new one")
    key = elliptic_key(request.public_key())
    issuer = authority.certificate.subject
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if name == BROKER else ExtendedKeyUsageOID.CLIENT_AUTH
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        _builder(_subject(name), issuer, key, now, serial, lasts)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(issuer_id, critical=False)
    )
    if names := [_host(host) for host in hosts]:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(authority.key, SHA256())


def revocation_list(
    authority: Authority, revoked: Iterable[tuple[int, datetime]], now: datetime
) -> x509.CertificateRevocationList:
    """Make the list of revoked serial numbers, each with its time. Its own number grows with the clock's seconds."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - _BACKDATED)
        .next_update(now + _CRL_LIFETIME)
        .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )
    for serial, at in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(authority.key, SHA256())


def lifetime(name: str) -> timedelta:
    """How long a certificate of that name lasts."""
    return _DEVICE_LIFETIME if "." in name else _SERVICE_LIFETIME


def fingerprint(key: EllipticCurvePublicKey) -> str:
    """128 bits of the SHA-256 of a public key, in groups: what two people compare before one signs for the other."""
    digest = Hash(SHA256())
    digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    text = digest.finalize().hex()[:_FINGERPRINT_DIGITS]
    return " ".join(text[place : place + 4] for place in range(0, _FINGERPRINT_DIGITS, 4))


def requested_name(request: x509.CertificateSigningRequest) -> str:
    """The subject of a request."""
    return _common_name(request.subject)


def common_name(certificate: x509.Certificate) -> str:
    """The subject of a certificate."""
    return _common_name(certificate.subject)


def is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether the authority signed the certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: EllipticCurvePublicKey,
    now: datetime,
    serial: int,
    lasts: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + lasts)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _common_name(subject: x509.Name) -> str:
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def elliptic_key(key: object) -> EllipticCurvePublicKey:
    """Return a public key of the one kind that is signed; raises ConfigError."""
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ConfigError("the key is no ECDSA key on P-256")
    return key


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
