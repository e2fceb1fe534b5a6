"""Common names of certificates, which are MQTT user names and client ids: `park.gate`, `ingress-1`, `broker`.

A name of a dispenser has a dot, a service's has none. In another namespace than the default one both are preceded by
it, as client ids are: `staging:park.gate`.
"""

import re
from typing import Literal, get_args

from msgspec import Struct

from models.contract.topics import NAME_PATTERN, Topics
from models.errors import ConfigError

__all__ = ["BROKER", "DeviceName", "ServiceName", "ServiceRole", "parse_name"]

BROKER = "broker"
"""The broker's own certificate, the only one for a server."""

ServiceRole = Literal["ingress", "egress", "operator", "audit", "admin"]
"""What a service or an operator's command may do (infra/broker/access.py)."""


class DeviceName(Struct, frozen=True):
    """A dispenser."""

    site: str
    device: str

    def __str__(self) -> str:
        return f"{self.site}.{self.device}"


class ServiceName(Struct, frozen=True):
    """One of several instances of a role; without an instance it is the role itself."""

    role: ServiceRole
    instance: str = ""

    def __str__(self) -> str:
        return f"{self.role}-{self.instance}" if self.instance else self.role


def parse_name(common_name: str, topics: Topics) -> DeviceName | ServiceName:
    """Parse a common name of this namespace; raises ConfigError for any other."""
    name = common_name.removeprefix(topics.client_id(""))
    if topics.client_id(name) == common_name:
        match name.split("."):
            case [site, device] if _is_name(site) and _is_name(device):
                return DeviceName(site, device)
            case [service]:
                role, _, instance = service.partition("-")
                if role in get_args(ServiceRole) and (_is_name(instance) or service == role):
                    return ServiceName(role, instance)  # type: ignore[arg-type]  # one of its values, by the guard
    raise ConfigError(
        f"{common_name} is no name of the namespace {topics.namespace}: a dispenser is SITE.DEVICE, a service is"
        f" {', '.join(get_args(ServiceRole))} or one of them with an instance, as ingress-1"
    )


def _is_name(text: str) -> bool:
    return bool(re.match(NAME_PATTERN, text))
