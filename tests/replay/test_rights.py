"""On a Kafka with users and an authorizer: the rights in the docs are enough for a replay, and none of them writes."""

import re
from pathlib import Path

import pytest

from models.contract.topics import kafka_topics
from tests.experiments.replay_proof.stage import crowd, decide, stage
from tests.support.processes import fairroll
from tests.support.rights import REFUSED, guarded, write


async def test_a_replay_works_with_its_rights_and_can_write_to_no_topic_with_them(tmp_path: Path) -> None:
    async with stage(tmp_path) as stack:
        await decide(stack.settings, crowd(200))
        await stack.stop("decider")
        settings = (await guarded(stack, tmp_path, "replay"))["replay"]
        ran = await fairroll(settings, "replay", "kafka")
        for topic in kafka_topics(settings.topics, settings.partitions, 0):
            with pytest.raises(REFUSED):
                await write(settings, topic.name)
    assert ran.code == 0, ran.err
    assert re.search(r"^requests +200 +0 +0 +0$", ran.out, re.MULTILINE), ran.out
