"""On a Kafka with users and an authorizer: the rights in the docs are enough for a replay, and none of them writes."""

import re
from pathlib import Path

import pytest
from aiokafka.errors import ClusterAuthorizationFailedError, TopicAuthorizationFailedError

from models.topics import kafka_topics
from stream_processors.kafka import open_producer
from tests.replay.stage import crowd, decide, fairroll, stage
from tests.stream.rights import guarded


async def test_a_replay_works_with_its_rights_and_can_write_to_no_topic_with_them(tmp_path: Path) -> None:
    async with stage(tmp_path) as stack:
        await decide(stack.settings, crowd(200))
        await stack.stop("decider")
        settings = (await guarded(stack, tmp_path, "replay"))["replay"]
        ran = await fairroll(settings, "replay", "kafka")
        for topic in kafka_topics(settings.partitions, 0):
            with pytest.raises((ClusterAuthorizationFailedError, TopicAuthorizationFailedError)):
                async with open_producer(settings) as producer:
                    await producer.send_and_wait(topic.name, b"a replay's", partition=0)
    assert ran.code == 0, ran.err
    assert re.search(r"│ requests +│ +200 │ +0 │ +0 │ +0 │", ran.out), ran.out
