"""The pipeline that the names on the brokers belong to. Two pipelines with equal names would mix their messages.

`fairroll provision` records the pipeline's id in Kafka; egress retains it on the MQTT broker. Before it reads or
publishes anything, a service compares Kafka's with its own, and the MQTT broker's with Kafka's; it ends with
ConfigError if they differ.
"""

from pathlib import Path

from aiokafka import TopicPartition

from models.errors import ConfigError
from models.keys.key_files import PIPELINE_ID, PIPELINE_KEY, parse_key
from models.settings import Settings
from stream_processors.runtime.kafka import open_consumer, open_producer, read_to_end

__all__ = ["check_kafka", "check_retained", "own_id", "read_pipeline_secret", "record_id"]

_KEY = b"id"


def read_pipeline_secret(secrets: Path) -> bytes:
    """Read the secret that pseudonyms are derived from; raises ConfigError."""
    file = secrets / PIPELINE_KEY
    try:
        return parse_key(file.read_text(), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the pipeline's key: {error}; `fairroll provision` makes it") from None


def own_id(settings: Settings) -> str:
    """Return the id that provisioning wrote next to the pipeline's key; empty without such a file."""
    try:
        return (settings.secrets / PIPELINE_ID).read_text().strip()
    except OSError:
        return ""


async def check_kafka(settings: Settings, own: str) -> str:
    """Return the id of the pipeline that Kafka's topics belong to; empty if none is recorded.

    Raises ConfigError if it is not `own`. If `own` is empty, any recorded id is accepted.
    """
    recorded = await _recorded_id(settings)
    if own and recorded and recorded != own:
        raise ConfigError(
            f"the topics {settings.namespace}.* of Kafka at {settings.kafka_named} belong to pipeline {recorded}, and"
            f" {settings.secrets} (FAIRROLL_SECRETS) to {own}: set another FAIRROLL_NAMESPACE, use the pipeline.key of"
            f" {recorded}, or delete these topics to start over"
        )
    return recorded


async def record_id(settings: Settings, own: str) -> None:
    """Record in Kafka that its topics belong to this pipeline."""
    async with open_producer(settings) as producer:
        await producer.send_and_wait(settings.topics.pipeline, own.encode(), key=_KEY)


def check_retained(settings: Settings, retained: bytes, recorded: str) -> None:
    """Raise ConfigError if the MQTT broker retains the id of another pipeline. `retained`: empty for none."""
    found = retained.decode(errors="replace")
    if recorded and found and found != recorded:
        raise ConfigError(
            f"the topics {settings.topics.mqtt_root}/# of the MQTT broker at {settings.mqtt} (FAIRROLL_MQTT) belong to"
            f" pipeline {found}, and Kafka at {settings.kafka_named} to {recorded}: set another FAIRROLL_NAMESPACE, or,"
            f" if {found} no longer exists, clear the retained message of {settings.topics.mqtt_pipeline}"
        )


async def _recorded_id(settings: Settings) -> str:
    partition = TopicPartition(settings.topics.pipeline, 0)
    async with open_consumer(settings, group=None) as consumer:
        if partition.topic not in await consumer.topics():
            return ""
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        records = await read_to_end(consumer, [partition])
    return records[-1].value.decode() if records else ""
