"""A Kafka that asks everybody who they are, by TLS and SCRAM, and gives each role the rights of docs/operations.md."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import ClusterAuthorizationFailedError, TopicAuthorizationFailedError
from aiokafka.protocol.admin import CreateAclsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactBytes, CompactString, Int8, Int16, Int32, Schema, TaggedFields
from msgspec import structs

from infra.local.ports import LOOPBACK, Ports
from infra.local.stack import LocalStack
from models.settings import Settings
from stream_processors.runtime.kafka import SASL_MECHANISM, open_admin, open_producer
from tests.support.certificates import Authority

__all__ = ["REFUSED", "guarded", "write"]

REFUSED = (ClusterAuthorizationFailedError, TopicAuthorizationFailedError)
"""Who may write to no topic at all is refused before the first record, by the cluster."""
_DOCS = Path(__file__).parents[2] / "docs" / "operations.md"
_TOPIC, _GROUP, _LITERAL, _ALLOW = 2, 3, 3, 3
_READ, _WRITE, _DESCRIBE = 3, 4, 8
"""Kafka's codes: org.apache.kafka.common.resource and .acl"""
_SCRAM_SHA_256, _ITERATIONS, _SALT = 1, 4096, b"of the tests"
_KINDS = ((_TOPIC, _READ), (_TOPIC, _WRITE), (_GROUP, _READ), (_GROUP, _DESCRIBE))
"""of the columns of the table"""
_CONFIG = """
{listeners},SASL_SSL://{address}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms={mechanism}
listener.name.sasl_ssl.{jaas}.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""
"""A client without TLS has no name and is the administrator: the stack that started it."""


class _UsersMade(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY, API_VERSION = 51, 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MakeUsersV0(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    """AlterUserScramCredentials (KIP-554), which aiokafka does not have."""

    FLEXIBLE_VERSION = True
    API_KEY, API_VERSION = 51, 0
    RESPONSE_TYPE = _UsersMade
    SCHEMA = Schema(
        ("deletions", CompactArray(("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields))),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MakeUsers(Request[_MakeUsersV0]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 51

    def __init__(self, roles: tuple[str, ...]) -> None:
        self._roles = roles

    def build(self, request_struct_class: type[_MakeUsersV0]) -> _MakeUsersV0:
        return request_struct_class([], [self._user(role) for role in self._roles], {})

    def _user(self, role: str) -> tuple[str, int, int, bytes, bytes, dict[int, bytes]]:
        salted = hashlib.pbkdf2_hmac("sha256", _password(role).encode(), _SALT, _ITERATIONS)
        return role, _SCRAM_SHA_256, _ITERATIONS, _SALT, salted, {}


class _Right(NamedTuple):
    kind: int
    name: str
    operation: int


async def guarded(stack: LocalStack, folder: Path, *roles: str) -> Mapping[str, Settings]:
    """Start the stack's Kafka again as such a one; returns the settings for each role."""
    address, ca = f"{LOOPBACK}:{Ports.free().mqtt}", _equip(folder)
    config = folder / "config" / "kafka.properties"
    [listeners] = re.findall("^listeners=.*", config.read_text(), re.MULTILINE)
    with config.open("a") as more:
        more.write(
            _CONFIG.format(
                listeners=listeners,
                address=address,
                mechanism=SASL_MECHANISM,
                jaas=SASL_MECHANISM.lower(),
                keystore=ca.parent / "server.pem",
            )
        )
    await stack.restart("kafka")
    async with open_admin(stack.settings) as admin:
        await _enlist(admin, roles)
        await _allow(admin, roles)
    return {
        role: structs.replace(
            stack.settings, kafka=address, kafka_user=role, kafka_password=_password(role), kafka_ca=str(ca)
        )
        for role in roles
    }


async def write(settings: Settings, topic: str) -> None:
    """Raises one of REFUSED without the right to."""
    async with open_producer(settings) as producer:
        await producer.send_and_wait(topic, b"of another user", partition=0)


def rights(role: str) -> Iterator[_Right]:
    """What the table in the docs gives to a role."""
    [row] = re.findall(rf"^\| `{role}` \|(.*)\|$", _DOCS.read_text(), re.MULTILINE)
    for (kind, operation), cell in zip(_KINDS, row.split("|"), strict=True):
        for name in re.findall("`(.+?)`", cell):
            yield _Right(kind, name, operation)


def _equip(folder: Path) -> Path:
    """Certificates for the broker; returns its authority's."""
    made = Authority().equip(folder / "certificates", "kafka")
    (made / "server.pem").write_text((made / "key.pem").read_text() + (made / "cert.pem").read_text())
    return made / "ca.pem"


def _password(role: str) -> str:
    return f"of {role}"


async def _enlist(admin: AIOKafkaAdminClient, roles: tuple[str, ...]) -> None:
    """Make the users, as `kafka-configs.sh` does, without a JVM for each."""
    response = await admin._send_request(_MakeUsers(roles))  # noqa: SLF001 - no method does
    assert {user: code for user, code, *_ in response.results} == dict.fromkeys(roles, 0), response.results


async def _allow(admin: AIOKafkaAdminClient, roles: tuple[str, ...]) -> None:
    acls = [
        (right.kind, right.name, _LITERAL, f"User:{role}", "*", right.operation, _ALLOW)
        for role in roles
        for right in rights(role)
    ]
    responses = [await admin._send_request(CreateAclsRequest(*acl)) for acl in acls]  # noqa: SLF001 - no method does
    assert {code for response in responses for code, _ in response.creation_responses} == {0}
