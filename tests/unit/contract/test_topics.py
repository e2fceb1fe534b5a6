import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract.topics import Channel, DeviceTopic, Topics, kafka_topics
from models.errors import MalformedMessage

TOPICS = Topics()

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


@given(names, names, st.sampled_from(["request", "command", "report", "state"]))
def test_a_topic_survives_formatting_and_parsing(site: str, device: str, channel: Channel) -> None:
    assert TOPICS.parse(TOPICS.device(site, device, channel)) == DeviceTopic(site, device, channel)


def test_addresses_are_those_of_the_contract() -> None:
    assert TOPICS.device("park", "gate", "command") == "fairroll/v1/park/gate/command"
    assert TOPICS.control("park") == "fairroll/v1/park/control"


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
        TOPICS.parse(topic)


@given(st.text(max_size=60) | st.lists(names, max_size=6).map("/".join))
def test_any_topic_is_a_device_s_or_malformed(topic: str) -> None:
    with contextlib.suppress(MalformedMessage):
        parsed = TOPICS.parse(topic)
        assert TOPICS.device(parsed.site, parsed.device, parsed.channel) == topic


def test_two_namespaces_have_no_name_in_common() -> None:
    def names(topics: Topics) -> set[str]:
        kafka = {topic.name for topic in kafka_topics(topics, 4, 540)}
        groups = {topics.decider_group, topics.egress_group, topics.sink_group}
        mqtt = {topics.device("park", "gate", "request"), topics.control("park"), *topics.ingress_filters}
        return kafka | groups | mqtt | {topics.client_id("ingress-1"), topics.client_id("park.gate")}

    production, staging = names(TOPICS), names(Topics("staging"))
    assert len(production) == len(staging)
    assert production.isdisjoint(staging)
    with pytest.raises(MalformedMessage, match="unknown topic"):
        Topics("staging").parse(TOPICS.device("park", "gate", "request"))


def test_client_ids_of_two_namespaces_never_collide() -> None:
    """A site may be called like a namespace, and a device like a service."""
    assert Topics("staging").client_id("ingress-1") != TOPICS.client_id("staging.ingress-1")


def test_a_site_is_in_the_same_partition_of_every_topic_and_the_broker_shows_the_time() -> None:
    topics = {topic.name: topic for topic in kafka_topics(TOPICS, 8, 540)}
    of_no_site = {TOPICS.dead_letters, TOPICS.pipeline}
    assert {topic.partitions for name, topic in topics.items() if name not in of_no_site} == {8}
    assert {topic.config["message.timestamp.type"] for topic in topics.values()} == {"LogAppendTime"}


def test_events_are_kept_for_the_longest_window_and_an_hour() -> None:
    topics = {topic.name: topic for topic in kafka_topics(TOPICS, 4, 540)}
    assert topics[TOPICS.events].config["retention.ms"] == str((540 + 3600) * 1000)
    assert topics[TOPICS.accounts_changelog].config["cleanup.policy"] == "compact"
