"""Provisioning can be repeated, and refuses what it cannot mend."""

import uuid
from pathlib import Path

import msgspec
import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from infra.local.ports import LOOPBACK, Ports
from infra.setup.provision import provision, provision_topics
from models.contract.codec import encode
from models.contract.messages import Control
from models.contract.topics import KafkaTopic
from models.errors import ConfigError
from models.settings import Settings
from stream_processors.runtime.kafka import open_admin, open_producer

CONTROL = Control(
    site="lawn", mode="face", policy="0123456789ab", epoch=0, ration_cm=60, ration_budget_cm=6000, window_s=540
)


def _topic(partitions: int = 2, setting: str = "retention.ms") -> KafkaTopic:
    return KafkaTopic(f"t{uuid.uuid4().hex}", partitions, {setting: "60000"})


async def _setting(settings: Settings, topic: str, name: str) -> str:
    async with open_admin(settings) as admin:
        [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {name: ""})])
    [(_, _, _, _, [(_, value, *_)])] = answer.resources
    return str(value)


async def test_topics_are_made_once(brokers: Settings) -> None:
    topics = [_topic(), _topic()]
    assert await provision_topics(brokers, topics) == [f"created {topic.name}" for topic in topics]
    assert await provision_topics(brokers, topics) == []


async def test_new_topics_take_records_immediately(brokers: Settings, caplog: pytest.LogCaptureFixture) -> None:
    topics = [_topic(partitions=4) for _ in range(5)]
    async with open_producer(brokers) as producer:
        await provision_topics(brokers, topics)
        for topic in topics:
            for partition in range(4):
                await producer.send_and_wait(topic.name, b"first", partition=partition)
    assert [record.message for record in caplog.records if record.name.startswith("aiokafka")] == []


async def test_topics_get_their_settings(brokers: Settings) -> None:
    topic = _topic()
    await provision_topics(brokers, [topic])
    assert await _setting(brokers, topic.name, "retention.ms") == "60000"


async def test_changed_setting_reaches_a_topic_that_is_there(brokers: Settings) -> None:
    topic = _topic()
    await provision_topics(brokers, [topic])
    longer = msgspec.structs.replace(topic, config={"retention.ms": "120000"})
    assert await provision_topics(brokers, [longer]) == [f"changed the settings of {topic.name}"]
    assert await _setting(brokers, topic.name, "retention.ms") == "120000"


async def test_another_number_of_partitions_is_refused_and_nothing_is_made(brokers: Settings) -> None:
    topic, other = _topic(partitions=2), _topic()
    await provision_topics(brokers, [topic])
    with pytest.raises(ConfigError, match=r"has 2 partitions, not 3.*FAIRROLL_PARTITIONS=2"):
        await provision_topics(brokers, [other, msgspec.structs.replace(topic, partitions=3)])
    assert await provision_topics(brokers, [other]) == [f"created {other.name}"]


async def test_unknown_setting_is_refused(brokers: Settings) -> None:
    with pytest.raises(ConfigError, match="Kafka refuses"):
        await provision_topics(brokers, [_topic(setting="no.such.setting")])


async def test_silent_kafka_is_named() -> None:
    address = f"{LOOPBACK}:{Ports.free().kafka}"
    with pytest.raises(ConfigError, match=f"no Kafka answers at {address}"):
        await provision_topics(Settings(kafka=address), [_topic()])


async def test_provisioning_makes_a_key_for_each_site(brokers: Settings, tmp_path: Path) -> None:
    settings = _with_sites(brokers, tmp_path, '[sites.gate]\ndevices = ["gate-1"]\n')
    made = await provision(settings)
    assert made[:2] == [f"made {settings.secrets}/pipeline.key", f"made {settings.secrets}/site-gate.key"]
    assert (settings.secrets / "pipeline.id").stat().st_mode & 0o777 == 0o600
    assert await provision(settings) == []


async def test_provisioning_steps_a_key_to_the_epoch_that_control_names_last(brokers: Settings, tmp_path: Path) -> None:
    settings = _with_sites(brokers, tmp_path, '[sites.lawn]\ndevices = ["gate-1"]\n')
    await provision(settings)
    async with open_producer(settings) as producer:
        for epoch in (1, 4):
            control = msgspec.structs.replace(CONTROL, epoch=epoch)
            await producer.send_and_wait(settings.topics.controls, encode(control), key=b"lawn")
    assert await provision(settings) == [f"stepped {settings.secrets}/site-lawn.key from epoch 0 to 4"]
    assert await provision(settings) == []


async def test_missing_file_of_sites_is_named(brokers: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the sites file .*sites.toml.*FAIRROLL_SITES"):
        await provision(msgspec.structs.replace(brokers, sites=tmp_path / "sites.toml"))


def _with_sites(brokers: Settings, folder: Path, text: str) -> Settings:
    sites = folder / "sites.toml"
    sites.write_text(text)
    namespace = f"t{uuid.uuid4().hex}"  # the brokers are shared, and each test has keys of its own
    return msgspec.structs.replace(brokers, namespace=namespace, sites=sites, secrets=folder / "secrets")
