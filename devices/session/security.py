"""How a dispenser proves who it is, and whose controls it obeys."""

from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from models.errors import ConfigError
from models.mqtt_tls import MqttTls
from models.pki.bundle import parse_control_keys
from models.settings import Settings

__all__ = ["UNSECURED", "Security", "read_security"]


class Security(Struct, frozen=True, kw_only=True):
    """What enrolment gave to one dispenser."""

    tls: MqttTls | None = None
    """None: the broker is reached without TLS"""
    control_keys: Sequence[Ed25519PublicKey] = ()
    """empty: unsigned controls are obeyed"""


UNSECURED = Security()


def read_security(settings: Settings, site: str, device: str) -> Security:
    """Read what the settings name; raises ConfigError for a file that is missing or holds something else."""
    tls = settings.mqtt_tls(f"{site}.{device}")
    if tls:
        tls.context()
    return Security(tls=tls, control_keys=_control_keys(settings.control_signers))


def _control_keys(file: str) -> tuple[Ed25519PublicKey, ...]:
    if not file:
        return ()
    try:
        keys = parse_control_keys(Path(file).read_bytes())
    except OSError as error:
        raise ConfigError(f"FAIRROLL_CONTROL_SIGNERS={file}: cannot be read: {error.strerror}") from None
    if not keys:
        raise ConfigError(f"FAIRROLL_CONTROL_SIGNERS={file}: holds no public key")
    return keys
