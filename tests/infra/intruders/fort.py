"""A broker with the shipped configuration, and every certificate that an intruder could have."""

import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from devices.enrolment.enrolment import IdentityFiles, install_bundle, request_certificate
from infra.ca.authority_folder import AuthorityFolder
from infra.local.secured import authority_of
from models.pki.certificates import read_request
from models.process.mqtt_tls import MqttTls
from models.settings import Settings

__all__ = ["Fort"]


class Fort(NamedTuple):
    """The broker, and the folder with its authority and all certificates."""

    settings: Settings
    folder: Path
    pid: int

    @property
    def authority(self) -> AuthorityFolder:
        return authority_of(self.folder)

    @property
    def ca(self) -> Path:
        """What a client trusts."""
        return self.folder / "secrets/mqtt/ca.pem"

    def files(self, name: str) -> MqttTls:
        """The identity of a name."""
        files = self.settings.mqtt_tls(name)
        assert files
        return files

    def signed(self, name: str, at: datetime, authority: AuthorityFolder | None = None) -> MqttTls:
        """A certificate that was signed at a moment and lasts an hour."""
        files = IdentityFiles(self.folder / "stolen" / uuid.uuid4().hex, name)
        request_certificate(files)
        asked = read_request(files.request.read_bytes(), name)
        lasts, hosts = timedelta(hours=1), ("127.0.0.1",) if name == "broker" else ()
        install_bundle(files, bytes((authority or self.authority).sign(asked, at, lasts=lasts, hosts=hosts)))
        return MqttTls(ca=self.ca, cert=files.certificate, key=files.key)
