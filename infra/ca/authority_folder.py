"""The folder of an authority.

| file | holds | mode |
|---|---|---|
| `ca.key` | the authority's key | 0600 |
| `ca.pem` | its certificate | 0644 |
| `control.key` | the key that egress signs controls with (Ed25519) | 0600 |
| `control.pem` | its public key | 0644 |
| `invitations.json` | one-time tokens that were not used yet | 0600 |
| `trusted.pem` | during a rollover the certificate of the predecessor | 0644 |
| `index.json` | every certificate that was signed, and whether it is revoked | 0600 |
| `crl.pem` | the list of revoked certificates, for the broker | 0644 |

One command at a time works on it (flock). The index is replaced before a certificate is handed out, so that nothing is
signed that cannot be revoked.
"""

import base64
import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec import Struct, structs

from devices.enrolment.enrolment import read_or_make_key
from devices.enrolment.private_files import check_private, make_private_folder, replace, write_new
from models.errors import ConfigError
from models.pki.bundle import Bundle, control_keys_pem, parse_control_keys
from models.pki.certificates import (
    Authority,
    elliptic_key,
    read_certificate,
    requested_name,
    revocation_list,
    self_signed,
    sign,
)
from models.pki.invitations import INVITED_FOR, TOKEN_BYTES, Invitation, is_invited, proof_of

__all__ = ["AuthorityFolder", "Issued", "ending"]


class Issued(Struct, frozen=True, kw_only=True):
    """One signed certificate."""

    serial: str
    """hexadecimal"""
    name: str
    not_after: datetime
    revoked_at: datetime | None = None

    def state(self, now: datetime) -> str:
        if self.revoked_at:
            return "revoked"
        return "expired" if self.not_after < now else "valid"


def ending(issued: Iterable[Issued], now: datetime, within: timedelta) -> list[Issued]:
    """Of each name that has a valid certificate the last one, where that ends soon; in the order of their ends."""
    last: dict[str, Issued] = {}
    for each in sorted(issued, key=lambda one: one.not_after):
        if each.state(now) == "valid":
            last[each.name] = each
    return sorted((each for each in last.values() if each.not_after <= now + within), key=lambda one: one.not_after)


class AuthorityFolder:
    """The authority of a deployment, in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate_file = folder / "ca.pem"
        self.crl_file = folder / "crl.pem"
        self.control_key_file = folder / "control.key"
        self.control_public_file = folder / "control.pem"
        self._invitations_file = folder / "invitations.json"
        self._trusted_file = folder / "trusted.pem"
        self._key_file, self._index_file = folder / "ca.key", folder / "index.json"

    @classmethod
    def create(
        cls, folder: Path, name: str, now: datetime, successor_of: "AuthorityFolder | None" = None
    ) -> "AuthorityFolder":
        """Create keys, certificate and an empty CRL. Raises ConfigError if the folder has an authority.

        `successor_of`: an authority whose signing key it takes over, and which its bundles trust too.
        """
        authority = cls(folder)
        make_private_folder(folder)
        with authority._locked():
            if authority._key_file.exists():
                raise ConfigError(f"{folder} holds an authority already: choose another folder with --ca")
            certificate, key = self_signed(generate_private_key(SECP256R1()), name, now, x509.random_serial_number())
            authority._make_control_key(successor_of)
            write_new(authority.certificate_file, certificate.public_bytes(Encoding.PEM), 0o644)
            write_new(authority._key_file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            authority._write_index([])
            authority._write_crl(now)
        return authority

    def issued(self) -> list[Issued]:
        """Everything that was signed, oldest first; raises ConfigError without an authority."""
        try:
            check_private(self.folder)
            return msgspec.json.decode(self._index_file.read_bytes(), type=list[Issued])
        except FileNotFoundError:
            raise ConfigError(f"no authority in {self.folder}: run fairroll ca init, or name it with --ca") from None
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(f"{self._index_file} cannot be read: {error}") from None

    def sign(
        self,
        request: x509.CertificateSigningRequest,
        now: datetime,
        *,
        lasts: timedelta | None = None,
        hosts: Sequence[str] = (),
    ) -> Bundle:
        """Sign a checked request, and record it. Raises ConfigError if it carries a proof that fits no invitation."""
        with self._locked():
            self._take_invitation(request, now)
            issued, serial = self.issued(), x509.random_serial_number()
            certificate = sign(self._authority(), request, now=now, serial=serial, lasts=lasts, hosts=hosts)
            name = str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)
            not_after = certificate.not_valid_after_utc
            self._write_index([*issued, Issued(serial=f"{serial:x}", name=name, not_after=not_after)])
        return Bundle(
            certificate=certificate,
            authorities=self._trusted(),
            control_keys=parse_control_keys(self.control_public_file.read_bytes()),
        )

    def invite(self, name: str, now: datetime) -> Invitation:
        """Make a one-time token for a name; an earlier one for the same name ends."""
        token = base64.b32encode(secrets.token_bytes(TOKEN_BYTES)).decode()
        invitation = Invitation(name=name, token=token, until=now + INVITED_FOR)
        with self._locked():
            others = [each for each in self._invitations() if each.name != name and each.until >= now]
            self._write_invitations([*others, invitation])
        return invitation

    def _take_invitation(self, request: x509.CertificateSigningRequest, now: datetime) -> None:
        """Use up the invitation that a request shows; one without a proof needs none."""
        if not (shown := proof_of(request)):
            return
        name, key = requested_name(request), elliptic_key(request.public_key())
        invitations = self._invitations()
        left = [each for each in invitations if not is_invited(each, name, shown, key, now)]
        if left == invitations:
            raise ConfigError(
                f"no invitation of {name} fits the request's token: it was used, has ended, or is another"
            )
        self._write_invitations(left)

    def _invitations(self) -> list[Invitation]:
        try:
            return msgspec.json.decode(self._invitations_file.read_bytes(), type=list[Invitation])
        except FileNotFoundError:
            return []

    def _write_invitations(self, invitations: list[Invitation]) -> None:
        replace(self._invitations_file, msgspec.json.encode(invitations))

    def _trusted(self) -> list[x509.Certificate]:
        """Its own certificate, and its predecessor's during a rollover."""
        files = (self.certificate_file, self._trusted_file)
        return [read_certificate(file.read_bytes()) for file in files if file.exists()]

    def revoke(self, name_or_serial: str, now: datetime) -> list[Issued]:
        """Revoke each valid certificate of a name, or one by its serial number, and write the CRL; returns them."""
        with self._locked():
            issued = self.issued()
            chosen = [each for each in issued if name_or_serial in (each.name, each.serial) and not each.revoked_at]
            if not chosen:
                raise ConfigError(f"no certificate of {name_or_serial} is left to revoke: see fairroll ca list")
            self._write_index([structs.replace(each, revoked_at=now) if each in chosen else each for each in issued])
            self._write_crl(now)
        return chosen

    def write_crl(self, now: datetime) -> None:
        """Make the CRL again from the index."""
        with self._locked():
            self._write_crl(now)

    def roll_control_key(self) -> None:
        """Make a new key for controls. Its public key and the old one's are in `control.pem`, until the next time."""
        with self._locked():
            old = parse_control_keys(self.control_public_file.read_bytes())[:1]
            key = Ed25519PrivateKey.generate()
            replace(self.control_public_file, control_keys_pem([key.public_key(), *old]), 0o644)
            replace(self.control_key_file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def _write_crl(self, now: datetime) -> None:
        revoked = [(int(each.serial, 16), each.revoked_at) for each in self.issued() if each.revoked_at]
        replace(self.crl_file, revocation_list(self._authority(), revoked, now).public_bytes(Encoding.PEM), 0o644)

    def _write_index(self, issued: list[Issued]) -> None:
        replace(self._index_file, msgspec.json.format(msgspec.json.encode(issued)))

    def _make_control_key(self, successor_of: "AuthorityFolder | None") -> None:
        if successor_of:
            write_new(self.control_key_file, successor_of.control_key_file.read_bytes())
            write_new(self.control_public_file, successor_of.control_public_file.read_bytes(), 0o644)
            write_new(self._trusted_file, successor_of.certificate_file.read_bytes(), 0o644)
            return
        key = Ed25519PrivateKey.generate()
        write_new(self.control_key_file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        write_new(self.control_public_file, control_keys_pem([key.public_key()]), 0o644)

    def _authority(self) -> Authority:
        return Authority(read_certificate(self.certificate_file.read_bytes()), read_or_make_key(self._key_file))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            descriptor = os.open(self.folder, os.O_RDONLY)
        except FileNotFoundError:
            raise ConfigError(f"no authority in {self.folder}: run fairroll ca init, or name it with --ca") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
