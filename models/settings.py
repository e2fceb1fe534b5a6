"""The settings of a process: read from the environment once, at the entry point, into one frozen object."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct, structs

from models.contract.topics import DEFAULT_NAMESPACE, Channel, Name, Topics
from models.errors import ConfigError
from models.process.mqtt_tls import MqttTls

__all__ = ["Settings", "host_and_port"]

_LAST_PORT = 65_535


class Settings(Struct, frozen=True, kw_only=True):
    """Addresses and files. Each field is the variable `FAIRROLL_<FIELD>`."""

    namespace: Name = DEFAULT_NAMESPACE
    """The prefix of all names on the brokers: pipelines that share a broker need different ones."""
    mqtt: str = "127.0.0.1:1883"
    """host:port of the MQTT broker"""
    mqtt_ca: str = ""
    """For TLS: the file of the certificates that the broker's own is signed with; empty: no TLS"""
    mqtt_cert: str = ""
    """The client's certificate. `{name}` in it, and in `mqtt_key`, stands for the client id: one setting serves all."""
    mqtt_key: str = ""
    control_key: str = ""
    """Egress: the file of the private key that it signs controls with; empty: they are not signed"""
    control_signers: str = ""
    """A dispenser: the file of the public keys whose controls it obeys; empty: it obeys unsigned ones"""
    kafka: str = "127.0.0.1:9092"
    """host:port of a Kafka bootstrap server"""
    kafka_user: str = ""
    """User of its clients, by SCRAM-SHA-256; empty: anonymous"""
    kafka_password: str = ""
    kafka_ca: str = ""
    """For TLS: the file with the certificates of the authority that signed those of the brokers; empty: no TLS"""
    influx_url: str = "http://127.0.0.1:8086"
    """http:// or https://, with a path if a proxy serves InfluxDB under one; without a slash at its end"""
    influx_token: str = "fairroll-local"  # noqa: S105 - opens nothing but the local stack
    """Sent as `Authorization: Token ...`; the default is the one of the local stack."""
    influx_org: str = "fairroll"
    influx_bucket: str = DEFAULT_NAMESPACE
    """Default: the namespace."""
    metrics_period_s: Annotated[int, Meta(ge=1, le=86_400)] = 60
    """Length of the periods whose sums are published, in seconds."""
    metrics_k: Annotated[int, Meta(ge=1)] = 5
    """Least number of requests in a published cell; 1 publishes all."""
    metrics_days: Annotated[int, Meta(ge=1)] = 30
    """How long InfluxDB keeps points."""
    metrics_hours_days: Annotated[int, Meta(ge=1)] = 730
    """How long InfluxDB keeps their hourly sums."""
    partitions: Annotated[int, Meta(ge=1, le=256)] = 4
    """Partitions of the topics that are keyed by site, and of the changelog; fixed when they are created."""
    instance: str = "1"
    """Identifies one of several ingresses or egresses: the name of a session that outlives a restart."""
    device_requests_per_s: Annotated[float, Meta(gt=0)] = 20.0
    """Rate limit of each dispenser's requests at one ingress; ten seconds of it may come in a burst."""
    device_reports_per_s: Annotated[float, Meta(gt=0)] = 50.0
    """The same of its reports."""
    device_states_per_s: Annotated[float, Meta(gt=0)] = 2.0
    """The same of its states."""
    sites: Path = Path("sites.toml")
    """The operator's file of sites, dispensers and policies."""
    secrets: Path = Path(".local/secrets")
    """A folder of mode 0700 with the pipeline's secret and, on devices, the site's key."""
    data: Path = Path(".local/data")
    """The folder that a process writes to: Faust's data, a dispenser's journal."""
    health: str = ""
    """host:port of a service's health pages; empty: none"""
    services: str = "127.0.0.1:9105,127.0.0.1:9101,127.0.0.1:9102,127.0.0.1:9103,127.0.0.1:9104"
    """health pages that `fairroll status` reads: one host:port or several, separated by commas"""
    keys: str = "unix:/run/fairroll-keys"
    """The key holder: `unix:` and its folder of sockets, or `tls://host:port`. It may listen at several addresses,
    separated by commas; clients use the first."""
    keys_cert: Path = Path("/etc/fairroll/keys")
    """For `tls://`: a folder with ca.pem, cert.pem and key.pem. The certificate's common name is the role."""
    keys_file: str = ""
    """The key file of the key holder, on a memory file system, for a restart. Empty: none"""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings; raises ConfigError naming the variable."""
        given = {field: environ[_variable(field)] for field in cls.__struct_fields__ if _variable(field) in environ}
        for field, text in given.items():
            if not text and getattr(cls(), field):
                raise ConfigError(f"{_variable(field)} is empty: unset it, or give it a value")
        given.setdefault("influx_bucket", given.get("namespace", DEFAULT_NAMESPACE))
        try:
            settings = msgspec.convert(given, cls, strict=False, dec_hook=lambda kind, text: kind(text))
        except msgspec.ValidationError as error:
            field = str(error).rpartition("$.")[2].rstrip("`")
            raise ConfigError(f"{_variable(field)}={given.get(field)!r}: {error}") from None
        _check_addresses("mqtt", [settings.mqtt])
        _check_addresses("kafka", [settings.kafka])
        _check_user(settings)
        _check_certificate(settings)
        _check_addresses("health", filter(None, [settings.health]))
        _check_addresses("services", settings.service_addresses)
        _check_keys(settings.key_addresses)
        _check_influx(settings)
        return structs.replace(settings, influx_url=settings.influx_url.rstrip("/"))

    @property
    def topics(self) -> Topics:
        """The names on the brokers."""
        return Topics(self.namespace)

    def mqtt_tls(self, name: str) -> MqttTls | None:
        """Files of the client `name` (`ingress-1`, `park.gate`); None where the broker is reached without TLS."""
        if not self.mqtt_ca:
            return None
        own = self.topics.client_id(name)
        cert, key = (Path(path.replace("{name}", own)) if path else None for path in (self.mqtt_cert, self.mqtt_key))
        return MqttTls(ca=Path(self.mqtt_ca), cert=cert, key=key)

    @property
    def device_rates(self) -> dict[Channel, float]:
        """The rate limits by channel."""
        return {
            "request": self.device_requests_per_s,
            "report": self.device_reports_per_s,
            "state": self.device_states_per_s,
        }

    @property
    def kafka_named(self) -> str:
        """Kafka's address, user and CA with their variables, for error messages."""
        user = f" as {self.kafka_user} (FAIRROLL_KAFKA_USER, FAIRROLL_KAFKA_PASSWORD)" if self.kafka_user else ""
        tls = f" by TLS (FAIRROLL_KAFKA_CA={self.kafka_ca})" if self.kafka_ca else ""
        return f"{self.kafka} (FAIRROLL_KAFKA){user}{tls}"

    @property
    def service_addresses(self) -> list[str]:
        """The addresses in `services`, each host:port."""
        return [address.strip() for address in self.services.split(",")]

    @property
    def key_addresses(self) -> list[str]:
        """The addresses in `keys`."""
        return [address.strip() for address in self.keys.split(",")]

    def to_environ(self) -> dict[str, str]:
        """The same settings as variables, for a child process."""
        return {_variable(field): str(getattr(self, field)) for field in self.__struct_fields__}


def host_and_port(address: str) -> tuple[str, int]:
    """Split a valid host:port; an IPv6 address loses its brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _variable(field: str) -> str:
    return f"FAIRROLL_{field.upper()}"


def _check_user(settings: Settings) -> None:
    if bool(settings.kafka_user) != bool(settings.kafka_password):
        given, missing = ("user", "password") if settings.kafka_user else ("password", "user")
        raise ConfigError(f"{_variable(f'kafka_{given}')} is given without {_variable(f'kafka_{missing}')}")


def _check_certificate(settings: Settings) -> None:
    if bool(settings.mqtt_cert) != bool(settings.mqtt_key):
        given, missing = ("cert", "key") if settings.mqtt_cert else ("key", "cert")
        raise ConfigError(f"{_variable(f'mqtt_{given}')} is given without {_variable(f'mqtt_{missing}')}")
    if settings.mqtt_cert and not settings.mqtt_ca:
        raise ConfigError(
            f"{_variable('mqtt_cert')} is given without {_variable('mqtt_ca')}: without it there is no TLS"
        )


def _check_keys(addresses: Iterable[str]) -> None:
    for address in addresses:
        kind, _, place = address.partition(":")
        if kind == "tls" and place.startswith("//"):
            _check_addresses("keys", [place.removeprefix("//")])
        elif kind != "unix" or not place.startswith("/"):
            raise ConfigError(f"{_variable('keys')}={address!r} is neither unix:/folder nor tls://host:port")


def _check_influx(settings: Settings) -> None:
    """Check the settings of InfluxDB; no message contains the token."""
    if not _is_http_url(settings.influx_url):
        raise ConfigError(
            f"{_variable('influx_url')} is not http://host:port or https://host:port, with or without a path;"
            f" user and password do not belong in it, but a token in {_variable('influx_token')}"
        )
    if not re.fullmatch("[!-~]*", settings.influx_token):
        raise ConfigError(f"{_variable('influx_token')} holds a space, a line break or a character beyond ASCII")
    if not re.fullmatch(r"(?!_)[\w .-]+", settings.influx_bucket):
        raise ConfigError(
            f"{_variable('influx_bucket')}={settings.influx_bucket!r} is not a name of letters, digits, spaces, dots,"
            " hyphens and underscores, without an underscore at its beginning: retention policies have fixed names"
        )


def _is_http_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return (
            url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0 and not re.search(r"[\s@?#]", text)
        )
    except ValueError:  # a port that is no number, or above 65535
        return False


def _check_addresses(field: str, addresses: Iterable[str]) -> None:
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) <= _LAST_PORT:
            raise ConfigError(f"{_variable(field)}={address!r} is not host:port")
