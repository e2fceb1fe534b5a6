"""On a Kafka with an authorizer: the rights in docs/replay.md are enough for a replay, and none of them writes."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.protocol.admin import CreateAclsRequest

from infra.local.stack import LocalStack
from models.settings import Settings
from models.topics import kafka_topics
from stream_processors.kafka import open_producer
from tests.replay.stage import crowd, decide, fairroll, stage

_DOCS = Path(__file__).parents[2] / "docs" / "replay.md"
_AUTHORIZER = """
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
"""
_NOBODY, _EVERYBODY = "User:nobody", "User:ANONYMOUS"
_TOPIC, _GROUP, _LITERAL, _ALLOW, _ALL = 2, 3, 3, 3, 2
"""Kafka's codes, org.apache.kafka.common.resource and .acl"""
_OPERATIONS = {"Read": 3, "Describe": 8}


async def test_a_replay_needs_these_rights_and_can_write_to_no_topic_with_them(tmp_path: Path) -> None:
    async with stage(tmp_path) as stack:
        await decide(stack.settings, crowd(200))
        await stack.stop("decider")
        await _authorize(stack, tmp_path)
        ran = await fairroll(stack.settings, "replay", "kafka")
        for topic in kafka_topics(stack.settings.partitions, 0):
            async with open_producer(stack.settings) as producer:
                with pytest.raises(TopicAuthorizationFailedError):
                    await producer.send_and_wait(topic.name, b"a replay's", partition=0)
    assert ran.code == 0, ran.err
    assert re.search(r"│ requests +│ +200 │ +0 │ +0 │ +0 │", ran.out), ran.out


async def _authorize(stack: LocalStack, folder: Path) -> None:
    """Every topic and group becomes somebody else's, but for the rights of the docs. The one user here has no name."""
    with (folder / "config" / "kafka.properties").open("a") as config:
        config.write(_AUTHORIZER)
    await stack.restart("kafka")
    denied = [(kind, "*", _LITERAL, _NOBODY, "*", _ALL, _ALLOW) for kind in (_TOPIC, _GROUP)]
    allowed = [(_TOPIC, topic, _LITERAL, _EVERYBODY, "*", operation, _ALLOW) for topic, operation in _documented()]
    await _create([*denied, *allowed], stack.settings)


def _documented() -> Iterator[tuple[str, int]]:
    """Each topic and operation of the command in the docs."""
    [command] = re.findall(r"^kafka-acls\.sh(?:.*\\\n)*.*$", _DOCS.read_text(), re.MULTILINE)
    for topic in re.findall(r"--topic (\S+)", command):
        for operation in re.findall(r"--operation (\w+)", command):
            yield topic, _OPERATIONS[operation]


async def _create(acls: list[tuple[int, str, int, str, str, int, int]], settings: Settings) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        responses = [await admin._send_request(CreateAclsRequest(*acl)) for acl in acls]  # noqa: SLF001 - no method does
    finally:
        await admin.close()
    assert {code for response in responses for code, _ in response.creation_responses} == {0}
