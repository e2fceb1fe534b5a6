"""Certificates for keys between hosts, as an operator's own authority makes them."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from infra.local.ports import LOOPBACK

__all__ = ["Authority"]


class Authority:
    """Signs any request."""

    def __init__(self) -> None:
        self._key = generate_private_key(SECP256R1())
        self._name = _name("keys of the park")
        rights = x509.BasicConstraints(ca=True, path_length=0)
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        made = self._signed(self._name, self._key).add_extension(rights, critical=True)
        self._certificate = made.add_extension(usage, critical=True).sign(self._key, SHA256())

    def equip(self, folder: Path, common_name: str) -> Path:
        """A folder with ca.pem, cert.pem and key.pem; the certificate is also good for a server on this host."""
        folder.mkdir()
        key = generate_private_key(SECP256R1())
        here = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(LOOPBACK))])
        certificate = self._signed(_name(common_name), key).add_extension(here, critical=False)
        (folder / "ca.pem").write_bytes(self._certificate.public_bytes(Encoding.PEM))
        (folder / "cert.pem").write_bytes(certificate.sign(self._key, SHA256()).public_bytes(Encoding.PEM))
        (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return folder

    def _signed(self, subject: x509.Name, key: EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
