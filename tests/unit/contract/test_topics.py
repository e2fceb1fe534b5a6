import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract.topics import (
    ACCOUNTS_CHANGELOG,
    DEAD_LETTERS,
    EVENTS,
    Channel,
    DeviceTopic,
    control_topic,
    kafka_topics,
)
from models.errors import MalformedMessage

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


@given(names, names, st.sampled_from(["request", "command", "report", "state"]))
def test_a_topic_comes_back_as_it_was(site: str, device: str, channel: Channel) -> None:
    topic = DeviceTopic(site, device, channel)
    assert DeviceTopic.parse(str(topic)) == topic


def test_addresses_are_those_of_the_contract() -> None:
    assert str(DeviceTopic("park", "gate", "command")) == "fairroll/v1/park/gate/command"
    assert control_topic("park") == "fairroll/v1/park/control"


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("fairroll/v2/park/gate/request", "unknown version"),
        ("fairroll/v2", "unknown version"),
        ("fairroll/v1/park/control", "unknown topic"),
        ("fairroll/v1/park/gate/orders", "unknown topic"),
        ("fairroll/v1/park/gate/request/more", "unknown topic"),
        ("fairroll", "unknown topic"),
        ("", "unknown topic"),
        ("other/v1/park/gate/request", "unknown topic"),
        ("fairroll/v1/Park/gate/request", "bad name"),
        ("fairroll/v1/park/-gate/request", "bad name"),
        ("fairroll/v1//gate/request", "bad name"),
        ("fairroll/v1/park/gate\n/request", "bad name"),
        (f"fairroll/v1/park/{'g' * 64}/request", "bad name"),
        ("fairroll/v1/pärk/gate/request", "bad name"),
    ],
)
def test_another_topic_is_refused_with_a_reason(topic: str, expected: str) -> None:
    with pytest.raises(MalformedMessage, match=expected):
        DeviceTopic.parse(topic)


@given(st.text(max_size=60) | st.lists(names, max_size=6).map("/".join))
def test_any_topic_is_a_device_s_or_malformed(topic: str) -> None:
    with contextlib.suppress(MalformedMessage):
        assert str(DeviceTopic.parse(topic)) == topic


def test_a_site_is_in_the_same_partition_of_every_topic_and_the_broker_tells_the_time() -> None:
    topics = {topic.name: topic for topic in kafka_topics(8, 540)}
    assert {topic.partitions for name, topic in topics.items() if name != DEAD_LETTERS} == {8}
    assert {topic.config["message.timestamp.type"] for topic in topics.values()} == {"LogAppendTime"}


def test_events_are_kept_for_the_longest_window_and_an_hour() -> None:
    topics = {topic.name: topic for topic in kafka_topics(4, 540)}
    assert topics[EVENTS].config["retention.ms"] == str((540 + 3600) * 1000)
    assert topics[ACCOUNTS_CHANGELOG].config["cleanup.policy"] == "compact"
