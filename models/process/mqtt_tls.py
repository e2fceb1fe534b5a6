"""TLS to the MQTT broker: the one place that makes the context of a client."""

import ssl
from pathlib import Path

from msgspec import Struct

from models.errors import ConfigError

__all__ = ["MqttTls"]


class MqttTls(Struct, frozen=True, kw_only=True):
    """The files of one client's identity."""

    ca: Path
    cert: Path | None = None
    """None: a broker that asks for no certificate of clients"""
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Read the files: once for each connection, so that a renewed certificate needs no restart.

        TLS 1.2 or newer; the broker's name is compared with its certificate. Raises ConfigError naming the files.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except OSError as error:  # ssl.SSLError is one too
            raise ConfigError(f"FAIRROLL_MQTT_CA={self.ca}: no certificates can be read from it: {error}") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.cert and self.key:
            try:
                context.load_cert_chain(self.cert, self.key)
            except OSError as error:
                raise ConfigError(
                    f"FAIRROLL_MQTT_CERT={self.cert}, FAIRROLL_MQTT_KEY={self.key}: no certificate with its key can be"
                    f" read from them: {error}"
                ) from None
        return context
