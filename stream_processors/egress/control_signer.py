"""The key that egress signs controls with."""

import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from models.errors import ConfigError
from models.pki.control_signatures import sign_control
from models.settings import Settings

__all__ = ["ControlSigner", "read_signer"]

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class ControlSigner:
    """Signs controls; without a key it leaves them as they are."""

    def __init__(self, key: Ed25519PrivateKey | None = None) -> None:
        self._key = key

    def sign(self, topic: str, control: bytes) -> bytes:
        """Sign a control for its topic. An empty one, which withdraws a control, stays empty."""
        return sign_control(self._key, topic, control) if self._key and control else control


def read_signer(settings: Settings) -> ControlSigner:
    """Read the key that FAIRROLL_CONTROL_KEY names, if any; raises ConfigError."""
    if not settings.control_key:
        return ControlSigner()
    file = Path(settings.control_key)
    try:
        if file.stat().st_mode & _OTHERS:
            raise ConfigError(f"FAIRROLL_CONTROL_KEY={file} is open to others: chmod go= {file}")
        key = load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"FAIRROLL_CONTROL_KEY={file}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"FAIRROLL_CONTROL_KEY={file}: holds no Ed25519 key in PEM without a password")
    return ControlSigner(key)
