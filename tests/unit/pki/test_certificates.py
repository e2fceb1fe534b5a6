from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from models.errors import ConfigError
from models.pki.certificates import (
    Authority,
    certificate_request,
    common_name,
    fingerprint,
    is_signed_by,
    read_request,
    revocation_list,
    self_signed,
    sign,
)

NOW = datetime(2026, 11, 28, 6, tzinfo=UTC)


def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def authority() -> Authority:
    return self_signed(key(), "fairroll", NOW, 1)


@pytest.mark.parametrize(
    ("name", "purpose", "days"),
    [
        ("park.gate", ExtendedKeyUsageOID.CLIENT_AUTH, 30),
        ("ingress-1", ExtendedKeyUsageOID.CLIENT_AUTH, 90),
        ("broker", ExtendedKeyUsageOID.SERVER_AUTH, 90),
    ],
)
def test_a_certificate_has_one_purpose_and_a_short_life(name: str, purpose: x509.ObjectIdentifier, days: int) -> None:
    signed = sign(authority(), certificate_request(key(), name), now=NOW, serial=2)
    assert common_name(signed) == name
    assert list(signed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [purpose]
    assert not signed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert signed.not_valid_after_utc == NOW + timedelta(days=days)


def test_an_authority_signs_no_other_authority() -> None:
    constraints = authority().certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value.path_length == 0


def test_extensions_of_a_request_are_not_taken() -> None:
    asked = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(certificate_request(key(), "park.gate").subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key(), SHA256())
    )
    signed = sign(authority(), asked, now=NOW, serial=2)
    assert not signed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_request_for_another_name_is_refused() -> None:
    pem = certificate_request(key(), "park.gate").public_bytes(Encoding.PEM)
    assert read_request(pem, "park.gate")
    with pytest.raises(ConfigError, match="not for park"):
        read_request(pem, "park.lobby")


def test_a_request_with_a_broken_signature_or_another_kind_of_key_is_refused() -> None:
    der = bytearray(certificate_request(key(), "park.gate").public_bytes(Encoding.DER))
    place = der.index(b"park.gate")
    der[place : place + 4] = b"dark"
    pem = x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM)
    with pytest.raises(ConfigError, match="not signed with its own key"):
        read_request(pem, "dark.gate")
    weak = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    of_rsa = weak.sign(rsa.generate_private_key(65537, 2048), SHA256()).public_bytes(Encoding.PEM)
    with pytest.raises(ConfigError, match="P-256"):
        read_request(of_rsa, "")
    with pytest.raises(ConfigError, match="no certificate request"):
        read_request(b"nothing", "")


def test_no_certificate_outlives_its_authority() -> None:
    with pytest.raises(ConfigError, match="make a new one"):
        sign(authority(), certificate_request(key(), "park.gate"), now=NOW + timedelta(days=3640), serial=2)


def test_only_its_authority_has_signed_a_certificate() -> None:
    own, other = authority(), authority()
    signed = sign(own, certificate_request(key(), "park.gate"), now=NOW, serial=2)
    assert is_signed_by(signed, own.certificate)
    assert not is_signed_by(signed, other.certificate)


def test_the_list_of_revoked_certificates_has_their_serial_numbers() -> None:
    revoked = revocation_list(authority(), [(17, NOW)], NOW)
    assert revoked.get_revoked_certificate_by_serial_number(17)
    assert not revoked.get_revoked_certificate_by_serial_number(18)


def test_a_fingerprint_shows_128_bits_of_a_key() -> None:
    one, other = key().public_key(), key().public_key()
    assert fingerprint(one) == fingerprint(one) != fingerprint(other)
    assert len(fingerprint(one).replace(" ", "")) == 32
