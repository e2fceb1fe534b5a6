"""How a dispenser proves who it is, and whose controls it obeys."""

from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from models.contract.codec import decode_control
from models.contract.messages import Control
from models.errors import ConfigError, MalformedMessage
from models.pki.bundle import parse_control_keys
from models.pki.control_signatures import verified_control
from models.process.mqtt_tls import MqttTls
from models.settings import Settings

__all__ = ["UNSECURED", "Security", "read_control", "read_security"]


class Security(Struct, frozen=True, kw_only=True):
    """The files that enrolment gave to one dispenser. They are read for each connection."""

    tls: MqttTls | None = None
    """None: the broker is reached without TLS"""
    control_signers: Path | None = None
    """None: unsigned controls are obeyed"""

    def control_keys(self) -> Sequence[Ed25519PublicKey] | None:
        """The public keys whose controls count; None for any control. Raises ConfigError."""
        if self.control_signers is None:
            return None
        try:
            keys = parse_control_keys(self.control_signers.read_bytes())
        except OSError as error:
            raise ConfigError(
                f"FAIRROLL_CONTROL_SIGNERS={self.control_signers}: cannot be read: {error.strerror}"
            ) from None
        if not keys:
            raise ConfigError(f"FAIRROLL_CONTROL_SIGNERS={self.control_signers}: holds no public key")
        return keys


UNSECURED = Security()


def read_control(payload: bytes, topic: str, site: str, keys: Sequence[Ed25519PublicKey] | None) -> Control:
    """Decode a control of the site. `keys`: of which one must have signed it; None: it needs no signature.

    Raises MalformedMessage for a control that is unreadable, of another site, or not signed.
    """
    control = decode_control(payload if keys is None else verified_control(keys, topic, payload))
    if control.site != site:
        raise MalformedMessage(f"it names another site: {control.site}")
    return control


def read_security(settings: Settings, site: str, device: str) -> Security:
    """What the settings name; raises ConfigError for a file that is missing or holds something else."""
    signers = Path(settings.control_signers) if settings.control_signers else None
    security = Security(tls=settings.mqtt_tls(f"{site}.{device}"), control_signers=signers)
    if security.tls:
        security.tls.context()
    security.control_keys()
    return security
