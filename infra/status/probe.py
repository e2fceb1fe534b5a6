"""Looking at a running pipeline: its services, its brokers, its topics. Every look has an end."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

from aiokafka.errors import KafkaError

from infra.dead_letters import by_reason, read_letters
from infra.kafka_records import KafkaAway, read_records
from infra.local.probes import gateway_answers, kafka_answers, mqtt_answers
from infra.status.report import (
    Broker,
    Dispenser,
    KafkaSeen,
    Service,
    Status,
    dispensers,
    problems,
    rates,
)
from models.contract.codec import decode_state
from models.ledger.policy import Sites
from models.settings import Settings
from stream_processors.runtime.consumer_lag import partitions_of, read_backlogs
from stream_processors.runtime.kafka import open_consumer
from stream_processors.runtime.key_client import read_facts
from stream_processors.sink.pipeline_metrics import ask_services

__all__ = ["look"]

_PATIENCE_S = 5.0
_HOUR_S = 3600.0
_APART_S = 1.0
"""between the two looks at a topic's end, of which its rate is made"""


async def look(settings: Settings, sites: Sites) -> Status:
    """See the whole; takes a second and a bit where all is well."""
    services, brokers, kafka, seals = await asyncio.gather(
        _services(settings), _brokers(settings), _topics(settings, sites), read_facts(settings)
    )
    unwell = problems(services, brokers, kafka)
    return Status(services=services, brokers=brokers, kafka=kafka, seals=seals, problems=unwell)


async def _services(settings: Settings) -> list[Service]:
    asked = await ask_services(settings)
    return [Service(address=address, vitals=vitals) for address, vitals in asked.items()]


async def _brokers(settings: Settings) -> list[Broker]:
    asked = (
        ("MQTT", settings.mqtt, mqtt_answers),
        ("Kafka", settings.kafka, kafka_answers),
        ("InfluxDB", settings.influx_url, gateway_answers),
    )
    ready = await asyncio.gather(*(_in_time(answers(address)) for _, address, answers in asked))
    return [
        Broker(name=name, address=address, is_ready=is_ready)
        for (name, address, _), is_ready in zip(asked, ready, strict=True)
    ]


async def _in_time(probe: Coroutine[Any, Any, bool]) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await probe
    except TimeoutError:
        return False


async def _topics(settings: Settings, sites: Sites) -> KafkaSeen | None:
    try:
        async with asyncio.timeout(3 * _PATIENCE_S):
            behind, speeds, seen, letters = await asyncio.gather(
                read_backlogs(settings), _rates(settings), _dispensers(settings, sites), read_letters(settings, _HOUR_S)
            )
    except (KafkaAway, KafkaError, TimeoutError):
        return None
    reasons = by_reason(filed.letter for filed in letters)
    return KafkaSeen(backlogs=behind, rates=speeds, dispensers=seen, dead_letters=reasons)


async def _rates(settings: Settings) -> dict[str, float]:
    """How fast events and decisions come, records a second."""
    topics = (settings.topics.events, settings.topics.decisions)
    partitions = [partition for topic in topics for partition in partitions_of(settings, topic)]
    async with open_consumer(settings, group=None) as consumer:
        before, started = await consumer.end_offsets(partitions), time.monotonic()
        await asyncio.sleep(_APART_S)
        ends, apart_s = await consumer.end_offsets(partitions), time.monotonic() - started
    return rates(topics, before, ends, apart_s)


async def _dispensers(settings: Settings, sites: Sites) -> list[Dispenser]:
    now, records = time.time(), await read_records(settings, settings.topics.states)
    states = {
        record.key.decode(): (decode_state(record.value), now - record.timestamp / 1000)
        for record in records
        if record.value is not None
    }
    return dispensers(sites, states)
