"""Who is not let in."""

import asyncio
import ssl
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from infra.ca.authority_folder import AuthorityFolder
from models.process.mqtt_tls import MqttTls
from tests.infra.intruders.fort import Fort
from tests.support.intruder import connack, is_refused

pytestmark = pytest.mark.asyncio(loop_scope="package")


def _plain(_: Fort) -> ssl.SSLContext | None:
    return None


def _no_certificate(fort: Fort) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=fort.ca)


def _expired(fort: Fort) -> ssl.SSLContext:
    return fort.signed("park.gate", datetime.now(UTC) - timedelta(hours=2)).context()


def _not_yet_valid(fort: Fort) -> ssl.SSLContext:
    return fort.signed("park.gate", datetime.now(UTC) + timedelta(hours=1)).context()


def _of_another_authority(fort: Fort) -> ssl.SSLContext:
    other = AuthorityFolder.create(fort.folder / uuid.uuid4().hex, "fairroll local", datetime.now(UTC))
    return fort.signed("park.gate", datetime.now(UTC), other).context()


def _for_a_server(fort: Fort) -> ssl.SSLContext:
    return fort.signed("broker", datetime.now(UTC)).context()


def _self_signed(fort: Fort) -> ssl.SSLContext:
    return _forged(fort, issuer=None)


def _signed_by_a_dispenser(fort: Fort) -> ssl.SSLContext:
    return _forged(fort, issuer=fort.files("park.gate"))


def _with_the_key_of_another(fort: Fort) -> ssl.SSLContext:
    """A certificate that was read off the wire, without its key."""
    context = ssl.create_default_context(cafile=fort.ca)
    gate, lobby = fort.files("park.gate"), fort.files("park.lobby")
    with pytest.raises(ssl.SSLError):
        context.load_cert_chain(gate.cert or "", lobby.key)
    return context


def _of_an_old_tls(newest: ssl.TLSVersion) -> Callable[[Fort], ssl.SSLContext]:
    def context(fort: Fort) -> ssl.SSLContext:
        old = fort.files("park.gate").context()
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = newest
        old.maximum_version = newest
        return old

    return context


def _without_encryption(fort: Fort) -> ssl.SSLContext:
    weak = fort.files("park.gate").context()
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("aNULL:eNULL:@SECLEVEL=0")
    return weak


def _forged(fort: Fort, issuer: MqttTls | None) -> ssl.SSLContext:
    """A certificate for egress that the authority has not signed, but its holder or a dispenser."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer, name = key, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "egress-1")])
    if issuer and issuer.cert and issuer.key:
        signer = load_pem_private_key(issuer.key.read_bytes(), None)  # type: ignore[assignment]  # an ECDSA key
        name = x509.load_pem_x509_certificate(issuer.cert.read_bytes()).subject
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "egress-1")]))
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .sign(signer, SHA256())
    )
    chain = certificate.public_bytes(Encoding.PEM) + (issuer.cert.read_bytes() if issuer and issuer.cert else b"")
    folder = fort.folder / uuid.uuid4().hex
    folder.mkdir()
    (folder / "cert.pem").write_bytes(chain)
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return MqttTls(ca=fort.ca, cert=folder / "cert.pem", key=folder / "key.pem").context()


_NOT_LET_IN: dict[str, Callable[[Fort], ssl.SSLContext | None]] = {
    "no TLS": _plain,
    "no certificate": _no_certificate,
    "expired": _expired,
    "not yet valid": _not_yet_valid,
    "another authority of the same name": _of_another_authority,
    "a certificate for a server": _for_a_server,
    "self-signed": _self_signed,
    "signed by a dispenser": _signed_by_a_dispenser,
    "a certificate without its key": _with_the_key_of_another,
    "TLS 1.0": _of_an_old_tls(ssl.TLSVersion.TLSv1),
    "TLS 1.1": _of_an_old_tls(ssl.TLSVersion.TLSv1_1),
    "ciphers without encryption or identity": _without_encryption,
}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("intruder", _NOT_LET_IN)
async def test_is_not_let_in(fort: Fort, intruder: str) -> None:
    context = _NOT_LET_IN[intruder](fort)
    assert is_refused(await asyncio.to_thread(connack, fort.settings, context, "park.gate"))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_dispenser_is_let_in(fort: Fort, version: ssl.TLSVersion) -> None:
    context = fort.files("park.gate").context()
    context.minimum_version = context.maximum_version = version
    assert not is_refused(await asyncio.to_thread(connack, fort.settings, context, "park.gate"))
