"""Two pipelines on the same names of the same brokers: the second one is refused before it takes anything."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiomqtt import Client, ProtocolVersion
from msgspec import structs

from infra.setup.provision import provision, provision_topics
from models.contract.topics import KafkaTopic, kafka_topics
from models.errors import ConfigError
from models.settings import Settings, host_and_port
from stream_processors.runtime.mqtt import read_retained
from tests.support.services import Service, running


def pipeline(brokers: Settings, folder: Path, namespace: str) -> Settings:
    """One with keys of its own."""
    folder.mkdir()
    (folder / "sites.toml").write_text('[sites.park]\ndevices = ["gate"]\n')
    return structs.replace(
        brokers,
        namespace=namespace,
        sites=folder / "sites.toml",
        secrets=folder / "secrets",
        data=folder / "data",
        keys=f"unix:{folder}/keys",
        keys_file="",
    )


@pytest.fixture
def namespace() -> str:
    return f"t{uuid.uuid4().hex}"


async def test_a_second_pipeline_on_the_same_names_is_not_provisioned(
    brokers: Settings, namespace: str, tmp_path: Path
) -> None:
    first, second = (pipeline(brokers, tmp_path / name, namespace) for name in ("first", "second"))
    await provision(first)
    with pytest.raises(ConfigError, match=rf"topics {namespace}\.\* .*belong to pipeline .*FAIRROLL_NAMESPACE"):
        await provision(second)
    assert await provision(first) == []
    await provision(structs.replace(second, namespace=f"{namespace}-2"))


async def test_a_refused_pipeline_changes_no_setting(brokers: Settings, namespace: str, tmp_path: Path) -> None:
    first, second = (pipeline(brokers, tmp_path / name, namespace) for name in ("first", "second"))
    await provision(first)
    (tmp_path / "second" / "sites.toml").write_text('[sites.park]\ndevices = ["gate"]\npolicy.window_s = 7200\n')
    with pytest.raises(ConfigError, match="belong to pipeline"):
        await provision(second)
    assert await provision(first) == []


@pytest.mark.parametrize("part", ["ingress", "egress", "decider", "sink"])
async def test_a_service_of_another_pipeline_ends_with_the_reason(
    brokers: Settings, namespace: str, tmp_path: Path, part: str
) -> None:
    first, second = (pipeline(brokers, tmp_path / name, namespace) for name in ("first", "second"))
    await provision(first)
    await provision(structs.replace(second, namespace=f"{namespace}-2"))  # for its keys
    code, received = await Service(part, second).run_to_its_end()
    assert code == 2
    assert f"the topics {namespace}.* of Kafka" in received
    assert "set another FAIRROLL_NAMESPACE" in received


@pytest.mark.parametrize("part", ["ingress", "egress"])
async def test_an_mqtt_broker_of_another_pipeline_is_refused(
    brokers: Settings, namespace: str, tmp_path: Path, part: str
) -> None:
    """Its Kafka is another one, so that only the MQTT broker can tell."""
    mine = pipeline(brokers, tmp_path / "mine", namespace)
    await provision(mine)
    async with retained(mine, b"0123456789abcdef"):
        code, received = await Service(part, mine).run_to_its_end()
    assert code == 2
    assert f"the topics {namespace}/v1/# of the MQTT broker" in received
    assert "belong to pipeline 0123456789abcdef" in received


async def test_egress_retains_the_id_and_the_pipeline_s_own_services_start(
    brokers: Settings, namespace: str, tmp_path: Path
) -> None:
    settings = pipeline(brokers, tmp_path / "mine", namespace)
    await provision(settings)
    own = (settings.secrets / "pipeline.id").read_bytes().strip()
    async with running(Service("egress", settings)):
        pass
    async with running(Service("egress", settings), Service("sink", settings)):
        assert await read_retained(settings, "egress-1", settings.topics.mqtt_pipeline) == own


async def test_a_topic_without_a_retained_message_reads_as_empty(brokers: Settings, namespace: str) -> None:
    assert await asyncio.wait_for(read_retained(brokers, "egress-1", f"{namespace}/nothing"), 5) == b""


async def test_a_pipeline_from_before_ids_were_recorded_gets_one(
    brokers: Settings, namespace: str, tmp_path: Path
) -> None:
    settings = pipeline(brokers, tmp_path / "mine", namespace)
    older: list[KafkaTopic] = [
        topic
        for topic in kafka_topics(settings.topics, settings.partitions, 540)
        if topic.name != settings.topics.pipeline
    ]
    await provision_topics(settings, older)
    assert f"created {settings.topics.pipeline}" in await provision(settings)
    with pytest.raises(ConfigError, match="belong to pipeline"):
        await provision(pipeline(brokers, tmp_path / "second", namespace))


@asynccontextmanager
async def retained(settings: Settings, payload: bytes) -> AsyncIterator[None]:
    topic = settings.topics.mqtt_pipeline
    async with Client(*host_and_port(settings.mqtt), protocol=ProtocolVersion.V5) as client:
        await client.publish(topic, payload, 1, retain=True)
        yield
        await client.publish(topic, b"", 1, retain=True)
