"""Creates what the services need before their first start: keys, and Kafka's topics with their settings."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, TopicAlreadyExistsError, for_code

from infra.kafka_records import stream_records
from infra.readable_records import newest_controls
from infra.setup.keys import make_keys, step_keys, write_id
from models.contract.topics import KafkaTopic, kafka_topics
from models.errors import ConfigError
from models.ledger.rules.policy import Sites
from models.process.site_file import read_sites
from models.settings import Settings
from stream_processors.runtime.kafka import open_admin, open_consumer
from stream_processors.runtime.pipeline_identity import check_kafka, record_id

__all__ = ["provision", "provision_topics", "read_topic_settings"]

_REPLICAS = 3
"""Most replicas of a topic; with fewer brokers, one per broker."""
_LEADERS_S = 30


async def provision(settings: Settings) -> list[str]:
    """Create what is missing, and return a sentence for each change; idempotent.

    Each site's key is stepped to the epoch of its control: this host keeps no older one either.

    Raises ConfigError for a bad file of sites, a key open to others, topics that belong to another pipeline, or topics
    of another number of partitions.
    """
    sites = read_sites(settings.sites)
    keys = make_keys(settings.secrets, sites.sites)
    own = write_id(settings.secrets)
    recorded = await _checked_id(settings, own)
    topics = kafka_topics(settings.topics, settings.partitions, sites.longest_window_s)
    changes = await provision_topics(settings, topics)
    if recorded != own:
        await record_id(settings, own)
    stepped = step_keys(settings.secrets, await _epochs(settings, sites))
    return [f"made {key}" for key in keys] + changes + stepped


async def _checked_id(settings: Settings, own: str) -> str:
    """Return the id of the pipeline that Kafka's topics belong to; empty for none. Raises ConfigError for another."""
    try:
        return await check_kafka(settings, own)
    except KafkaConnectionError:
        raise ConfigError(f"no Kafka answers at {settings.kafka_named}") from None


async def _epochs(settings: Settings, sites: Sites) -> dict[str, int]:
    """Return the epoch of each site with a control. An unreadable control is left out: egress reports it."""
    records = [record async for record in stream_records(settings, settings.topics.controls)]
    controls = newest_controls(records, [])
    return {site: control.epoch for site, control in controls.items() if control and site in sites.sites}


async def provision_topics(settings: Settings, topics: Sequence[KafkaTopic]) -> list[str]:
    """Create the missing topics, and change the settings of the others; return a sentence for each change.

    A setting that is not listed is reset to the broker's default. Raises ConfigError, without a change, for another
    number of partitions, which would move the events of a site to another partition.
    """
    async with _admin(settings) as admin:
        counts = await _partition_counts(admin)
        for topic in topics:
            _check_partitions(topic, counts.get(topic.name, topic.partitions))
        missing = [topic for topic in topics if topic.name not in counts]
        await _create(settings, admin, missing)
        changed = await _settle(admin, [topic for topic in topics if topic.name in counts])
    return [f"created {topic.name}" for topic in missing] + [f"changed the settings of {name}" for name in changed]


async def read_topic_settings(settings: Settings, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the settings of these topics; empty for a missing topic. Raises ConfigError if Kafka does not answer."""
    async with _admin(settings) as admin:
        return await _settings(admin, names)


@contextlib.asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    try:
        async with open_admin(settings) as admin:
            yield admin
    except KafkaConnectionError:
        raise ConfigError(f"no Kafka answers at {settings.kafka_named}") from None


def _check_partitions(topic: KafkaTopic, count: int) -> None:
    if count != topic.partitions:
        raise ConfigError(
            f"{topic.name} has {count} partitions, not {topic.partitions}, and the number cannot change:"
            f" set FAIRROLL_PARTITIONS={count}, or start with an empty Kafka"
        )


async def _partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """Return the number of partitions of each topic whose partitions all have a leader."""
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in await admin.describe_topics()
        if topic["partitions"] and all(partition["leader"] >= 0 for partition in topic["partitions"])
    }


async def _create(settings: Settings, admin: AIOKafkaAdminClient, topics: Sequence[KafkaTopic]) -> None:
    """Create topics, and wait until clients can use them: a Faust worker ignores a topic that does not exist yet."""
    if not topics:
        return
    brokers = len((await admin.describe_cluster())["brokers"])
    copies = min(_REPLICAS, brokers)
    wanted = [NewTopic(topic.name, topic.partitions, copies, topic_configs=topic.config) for topic in topics]
    answer = await admin.create_topics(wanted)
    _raise_for((name, code) for name, code, *_ in answer.topic_errors)
    try:
        async with asyncio.timeout(_LEADERS_S):
            await _until_visible(admin, {topic.name for topic in topics})
            await _until_led(settings, topics)
    except TimeoutError:
        raise ConfigError(f"Kafka made the topics, but has no leader for them after {_LEADERS_S} s") from None


async def _until_visible(admin: AIOKafkaAdminClient, names: set[str]) -> None:
    while names - (await _partition_counts(admin)).keys():
        await asyncio.sleep(0.05)


async def _until_led(settings: Settings, topics: Sequence[KafkaTopic]) -> None:
    """Wait until the leader of each partition answers: before that it rejects records, and aiokafka logs that."""
    async with open_consumer(settings, group=None) as consumer:
        await consumer.end_offsets(
            [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
        )


async def _settle(admin: AIOKafkaAdminClient, topics: Sequence[KafkaTopic]) -> list[str]:
    """Change the settings of topics; return those that differed."""
    found = await _settings(admin, [topic.name for topic in topics])
    different = [topic for topic in topics if not topic.config.items() <= found[topic.name].items()]
    if different:
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name, topic.config) for topic in different]
        answers = await admin.alter_configs(resources)
        _raise_for((name, code) for answer in answers for code, _, _, name in answer.resources)
    return [topic.name for topic in different]


async def _settings(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    return {
        name: {key: value for key, value, *_ in entries}
        for answer in answers
        for _, _, _, name, entries in answer.resources
    }


def _raise_for(results: Iterable[tuple[str, int]]) -> None:
    """Raise ConfigError for a failed creation, except of a topic that exists by now."""
    for name, code in results:
        if code and code != TopicAlreadyExistsError.errno:
            raise ConfigError(f"Kafka refuses {name}: {for_code(code).description}")
