"""Who may publish and subscribe what, as mosquitto's dynamic security plugin reads it. Pure.

An ACL file would be shorter, but mosquitto 2.0 grants every subscription and applies the file only when it delivers: a
dispenser that joined ingress's shared subscription would be given its share of all requests, and they would be lost.
The plugin refuses the subscription itself.

A user is the common name of a certificate. Nothing is allowed that is not listed here; `$SYS` and `$CONTROL` are for
`admin` alone.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal, assert_never

import msgspec

from models.contract.topics import Channel, Topics
from models.pki.names import DeviceName, ServiceName, ServiceRole, parse_name

__all__ = ["access_rules", "plugin_file", "role_of"]

_Act = Literal["publishClientSend", "publishClientReceive", "subscribeLiteral", "subscribePattern"]
_Rule = tuple[_Act, str]
_SERVICES: tuple[ServiceRole, ...] = ("ingress", "egress", "operator", "audit", "admin")
_NOTHING = {"publishClientSend": False, "publishClientReceive": False, "subscribe": False, "unsubscribe": True}


def access_rules(name: DeviceName | ServiceName, topics: Topics) -> list[_Rule]:
    """What one certificate may do."""
    match name:
        case DeviceName():
            return list(_device(name, topics))
        case ServiceName():
            return list(_service(name.role, topics))
        case _:
            assert_never(name)


def role_of(name: str, topics: Topics) -> str:
    """The plugin's role of a user: services share one for each role, a dispenser has its own."""
    parsed = parse_name(name, topics)
    return name if isinstance(parsed, DeviceName) else topics.client_id(parsed.role)


def plugin_file(topics: Topics, services: Iterable[str], devices: Iterable[str]) -> bytes:
    """The plugin's file for these common names. A name that is not in it is refused everything."""
    devices = sorted(devices)
    roles = [_role(topics.client_id(role), access_rules(ServiceName(role), topics)) for role in _SERVICES]
    roles += [_role(name, access_rules(parse_name(name, topics), topics)) for name in devices]
    clients = [_client(name, role_of(name, topics)) for name in (*sorted(services), *devices)]
    document = {"defaultACLAccess": _NOTHING, "clients": clients, "groups": [], "roles": roles}
    return msgspec.json.format(msgspec.json.encode(document))


def _client(name: str, role: str) -> dict[str, Any]:
    return {"username": name, "roles": [{"rolename": role, "priority": 0}]}


def _role(name: str, rules: Iterable[_Rule]) -> dict[str, Any]:
    acls = [{"acltype": act, "topic": topic, "priority": 0, "allow": True} for act, topic in rules]
    return {"rolename": name, "acls": acls}


def _device(name: DeviceName, topics: Topics) -> Iterator[_Rule]:
    channels: tuple[Channel, ...] = ("request", "report", "state")
    for channel in channels:
        yield "publishClientSend", topics.device(name.site, name.device, channel)
    for topic in (topics.device(name.site, name.device, "command"), topics.control(name.site)):
        yield from _read(topic)


def _service(role: ServiceRole, topics: Topics) -> Iterator[_Rule]:
    match role:
        case "ingress":
            for topic, subscription in zip(topics.ingress_filters, topics.ingress_subscriptions, strict=True):
                yield "subscribeLiteral", subscription
                yield "publishClientReceive", topic
            yield "publishClientSend", topics.device("+", "+", "state")  # it withdraws those of removed dispensers
            yield from _read(topics.mqtt_pipeline)
        case "egress":
            yield "publishClientSend", topics.device("+", "+", "command")
            for topic in (topics.control("+"), topics.mqtt_pipeline):
                yield "publishClientSend", topic
                yield from _read(topic)
        case "audit":
            yield from _read("#")
        case "operator":
            yield from _read(topics.control("+"))  # `fairroll status` compares them with Kafka's
        case "admin":
            for topic in ("$CONTROL/dynamic-security/#", "$SYS/#"):
                yield "publishClientSend", topic
                yield "publishClientReceive", topic
                yield "subscribePattern", topic
        case _:
            assert_never(role)


def _read(topic: str) -> Iterator[_Rule]:
    yield "subscribeLiteral", topic
    yield "publishClientReceive", topic
