"""The files of a dispenser's identity: its key, its request, its certificate and what it trusts.

All lie in one folder of mode 0700, named by the common name of the certificate. The key is made here and never leaves;
a key in a TPM or a PKCS #11 token would take the place of `read_or_make_key`, and of the file that `FAIRROLL_MQTT_KEY`
names.
"""

from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from devices.enrolment.private_files import check_private, make_private_folder, replace, write_new
from models.errors import ConfigError
from models.pki.bundle import parse_bundle
from models.pki.certificates import certificate_request, common_name, fingerprint, is_signed_by
from models.pki.invitations import proof

__all__ = ["IdentityFiles", "install_bundle", "read_or_make_key", "request_certificate"]


class IdentityFiles(NamedTuple):
    """Where one identity lies."""

    folder: Path
    name: str

    @property
    def key(self) -> Path:
        return self.folder / f"{self.name}.key"

    @property
    def request(self) -> Path:
        return self.folder / f"{self.name}.csr"

    @property
    def certificate(self) -> Path:
        return self.folder / f"{self.name}.pem"

    @property
    def authorities(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def control_keys(self) -> Path:
        return self.folder / "control.pem"


def request_certificate(files: IdentityFiles, token: str = "") -> str:
    """Write a request for the key, which is made if need be; returns the key's fingerprint.

    `token`: of an invitation, which the request then proves to know.
    """
    make_private_folder(files.folder)
    key = read_or_make_key(files.key)
    shown = proof(token, key.public_key()) if token else ""
    replace(files.request, certificate_request(key, files.name, shown).public_bytes(Encoding.PEM), 0o644)
    return fingerprint(key.public_key())


def install_bundle(files: IdentityFiles, bundle_pem: bytes) -> None:
    """Put the answer to the request in place, the certificate last.

    Raises ConfigError, and changes nothing, where the certificate is another's, belongs to another key, or was not
    signed by an authority of the bundle.
    """
    bundle = parse_bundle(bundle_pem)
    if common_name(bundle.certificate) != files.name:
        raise ConfigError(f"the certificate is for {common_name(bundle.certificate)}, not for {files.name}")
    if bundle.certificate.public_key() != _read_key(files.key).public_key():
        raise ConfigError(f"the certificate belongs to another key than {files.key}: send the request again")
    if not any(is_signed_by(bundle.certificate, authority) for authority in bundle.authorities):
        raise ConfigError("no authority in the bundle has signed the certificate")
    replace(files.authorities, bundle.authorities_pem, 0o644)
    if bundle.control_keys:
        replace(files.control_keys, bundle.control_keys_pem, 0o644)
    replace(files.certificate, bundle.certificate_pem, 0o644)


def read_or_make_key(file: Path) -> EllipticCurvePrivateKey:
    """Read the key of a file of mode 0600, or make it; raises ConfigError."""
    if file.exists():
        return _read_key(file)
    key = generate_private_key(SECP256R1())
    write_new(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def _read_key(file: Path) -> EllipticCurvePrivateKey:
    try:
        check_private(file)
        key = load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, EllipticCurvePrivateKey):
        raise ConfigError(f"{file} holds no ECDSA key in PEM without a password")
    return key
