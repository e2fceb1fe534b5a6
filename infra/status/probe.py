"""Reads the status of a running pipeline: services, brokers, topics. Every read has a timeout."""

import asyncio
import time

from aiokafka.errors import KafkaError

from infra.dead_letters.reader import Filter, read_letters, summarize
from infra.environment_file import how_to_find
from infra.kafka_records import KafkaAway, stream_records
from infra.probes import PROBE_S, influx_fault, kafka_fault, mqtt_fault
from infra.readable_records import newest_states
from infra.sites.registry import read_registry
from infra.status.controls import control_differences
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
from models.keys.seal_chain import SitesReply
from models.settings import Settings
from stream_processors.runtime.consumer_lag import partitions_of, read_consumer_lag, reads
from stream_processors.runtime.kafka import open_admin, open_consumer
from stream_processors.runtime.key_client import read_facts
from stream_processors.sink.pipeline_metrics import ask_services

__all__ = ["read_status"]

_HOUR_S = 3600.0
_APART_S = 1.0
"""between the two reads of a topic's end that give its rate"""


async def read_status(settings: Settings) -> Status:
    """Probe the whole; takes a second and a bit where all is well, four where controls differ."""
    services, brokers, kafka, seals = await asyncio.gather(
        _services(settings), _brokers(settings), _topics(settings), read_facts(settings)
    )
    brokers.append(_key_holder(settings, seals))
    return Status(
        services=services,
        brokers=brokers,
        kafka=kafka if isinstance(kafka, KafkaSeen) else None,
        seals=seals,
        problems=problems(services, brokers, kafka),
    )


async def _services(settings: Settings) -> list[Service]:
    asked = await ask_services(settings)
    return [Service(address=address, vitals=vitals) for address, vitals in asked.items()]


async def _brokers(settings: Settings) -> list[Broker]:
    faults = await asyncio.gather(mqtt_fault(settings), kafka_fault(settings), influx_fault(settings))
    named = (
        ("MQTT", settings.mqtt, "mqtt"),
        ("Kafka", settings.kafka, "kafka"),
        ("InfluxDB", settings.influx_url, "influx_url"),
    )
    return [
        Broker(name=name, address=address, hint=how_to_find(settings, field), fault=fault)
        for (name, address, field), fault in zip(named, faults, strict=True)
    ]


def _key_holder(settings: Settings, seals: SitesReply | None) -> Broker:
    fault, hint = "" if seals else "no answer to the auditor's role", how_to_find(settings, "keys")
    return Broker(name="key holder", address=settings.key_addresses[0], hint=hint, fault=fault)


async def _topics(settings: Settings) -> KafkaSeen | str:
    """What the topics hold, or why they cannot be read."""
    try:
        async with asyncio.timeout(3 * PROBE_S):
            if missing := await _missing(settings):
                return f"Kafka shows no topic {min(missing)}: run `fairroll provision`, or give this user the right"
            unreadable: list[str] = []
            behind, speeds, seen, letters, controls = await asyncio.gather(
                read_consumer_lag(settings),
                _rates(settings),
                _dispensers(settings, unreadable),
                _letters(settings),
                control_differences(settings),
            )
    except (KafkaAway, KafkaError) as error:
        return str(error)
    except TimeoutError:
        return f"they were not read within {3 * PROBE_S:g} s"
    return KafkaSeen(
        backlogs=behind,
        rates=speeds,
        dispensers=seen,
        dead_letters=letters,
        unreadable=unreadable,
        controls=controls,
    )


async def _missing(settings: Settings) -> set[str]:
    """What is read here and is not there: a client would wait for it for ever."""
    wanted = {settings.topics.sites, *(topic for topics in reads(settings.topics).values() for topic in topics)}
    async with open_admin(settings) as admin:
        return wanted - set(await admin.list_topics())


async def _letters(settings: Settings) -> dict[str, int]:
    return (await summarize(read_letters(settings, _HOUR_S, Filter()))).reasons


async def _rates(settings: Settings) -> dict[str, float]:
    """How fast events and decisions come, records a second."""
    topics = (settings.topics.events, settings.topics.decisions)
    partitions = [partition for topic in topics for partition in partitions_of(settings, topic)]
    async with open_consumer(settings, group=None) as consumer:
        before, started = await consumer.end_offsets(partitions), time.monotonic()
        await asyncio.sleep(_APART_S)
        ends, apart_s = await consumer.end_offsets(partitions), time.monotonic() - started
    return rates(topics, before, ends, apart_s)


async def _dispensers(settings: Settings, unreadable: list[str]) -> list[Dispenser]:
    sites = await read_registry(settings, unreadable)
    records = [record async for record in stream_records(settings, settings.topics.states)]
    return dispensers(sites, newest_states(records, unreadable), time.time())
