"""Changes of the access rules of a running broker: no restart, and who is removed is disconnected.

mosquitto's dynamic security plugin takes JSON commands on `$CONTROL/dynamic-security/v1`, from `admin` alone, answers
on `.../response`, and saves its file.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import msgspec
from aiomqtt import MqttError
from msgspec import Struct

from infra.broker.access import access_rules, role_of
from models.contract.topics import Topics
from models.errors import ConfigError
from models.pki.names import DeviceName, parse_name
from models.process.mqtt_client import Client
from models.settings import Settings, host_and_port

__all__ = ["Changes", "changes", "commands_of", "update"]

_TOPIC = "$CONTROL/dynamic-security/v1"
_UPDATE_S = 120.0
_COMMANDS_A_MESSAGE = 10
"""A role of a dispenser takes about 700 bytes, and mosquitto.conf allows 16,384."""
_Command = dict[str, Any]


class Changes(Struct, frozen=True):
    """Names to add and to remove."""

    added: Sequence[str]
    removed: Sequence[str]


def changes(present: Iterable[str], wanted: Iterable[str]) -> Changes:
    """What turns the names that a broker has into those that it should have."""
    have, want = set(present), set(wanted)
    return Changes(sorted(want - have), sorted(have - want))


def commands_of(change: Changes, topics: Topics) -> Iterator[_Command]:
    """The plugin's commands, in their order. A removed client is disconnected."""
    for name in change.removed:
        yield {"command": "deleteClient", "username": name}
        if _has_own_role(name, topics):
            yield {"command": "deleteRole", "rolename": name}
    for name in change.added:
        if _has_own_role(name, topics):
            rules = access_rules(parse_name(name, topics), topics)
            acls = [{"acltype": act, "topic": topic, "priority": 0, "allow": True} for act, topic in rules]
            yield {"command": "createRole", "rolename": name, "acls": acls}
        yield {"command": "createClient", "username": name, "roles": [{"rolename": role_of(name, topics)}]}


async def update(settings: Settings, wanted: Iterable[str]) -> Changes:
    """Bring the broker at FAIRROLL_MQTT to the wanted names, under the certificate of `admin`; returns what changed.

    Raises ConfigError if it is not reached, or refuses.
    """
    try:
        async with asyncio.timeout(_UPDATE_S), _connected(settings) as client:
            (listed,) = await _ask(client, [{"command": "listClients", "verbose": False, "count": -1, "offset": 0}])
            change = changes(listed["data"]["clients"], wanted)
            commands = commands_of(change, settings.topics)
            while some := list(islice(commands, _COMMANDS_A_MESSAGE)):
                await _ask(client, some)
            return change
    except (MqttError, TimeoutError) as error:
        raise ConfigError(f"the MQTT broker at {settings.mqtt} does not take changes of access: {error!r}") from None


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[Client]:
    tls = settings.mqtt_tls("admin")
    if tls is None:
        raise ConfigError("FAIRROLL_MQTT_CA is not set: access is changed with the certificate of admin")
    async with Client(*host_and_port(settings.mqtt), tls=tls) as client:
        await client.subscribe(f"{_TOPIC}/response", qos=1)
        yield client


async def _ask(client: Client, commands: Iterable[_Command]) -> list[dict[str, Any]]:
    """Send commands and return their answers; raises ConfigError with the first error."""
    await client.publish(_TOPIC, msgspec.json.encode({"commands": list(commands)}), qos=1)
    message = await anext(aiter(client.messages))
    answers: list[dict[str, Any]] = msgspec.json.decode(message.payload)["responses"]
    for answer in answers:
        if error := answer.get("error"):
            raise ConfigError(f"mosquitto refuses {answer['command']}: {error}")
    return answers


def _has_own_role(name: str, topics: Topics) -> bool:
    """Whether a role belongs to this user alone. What the broker has of other namespaces is named as it is."""
    try:
        return isinstance(parse_name(name, topics), DeviceName)
    except ConfigError:
        return False
