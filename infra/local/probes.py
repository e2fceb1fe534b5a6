"""Readiness of the brokers of a local stack: Kafka opens its port before it accepts records."""

import asyncio

import aiohttp
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from infra.probes import PROBE_S, influx_fault, mqtt_fault
from models.settings import Settings, host_and_port
from stream_processors.runtime.kafka import open_admin

__all__ = ["gateway_answers", "influx_has_database", "kafka_takes_records", "mqtt_answers"]


async def mqtt_answers(settings: Settings) -> bool:
    """True once the broker has accepted a connection."""
    return not await mqtt_fault(settings)


async def kafka_takes_records(settings: Settings) -> bool:
    """True once the broker would create a topic, and so accepts records. None is created.

    The port is probed first, because aiokafka logs every failed attempt.
    """
    if not await _listens(settings.kafka):
        return False
    try:
        async with asyncio.timeout(PROBE_S), open_admin(settings) as admin:
            answer = await admin.create_topics([NewTopic("fairroll.ready", 1, 1)], validate_only=True)
    except (KafkaError, TimeoutError):
        return False
    return all(code == 0 for _, code, *_ in answer.topic_errors)


async def gateway_answers(settings: Settings) -> bool:
    """True once InfluxDB answers through the gateway."""
    return not await influx_fault(settings)


async def influx_has_database(url: str, database: str) -> bool:
    """True once InfluxDB 1 has the database, which is created if missing."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PROBE_S)) as http,
            http.post(f"{url}/query", data={"q": f'CREATE DATABASE "{database}"'}) as answer,
        ):
            return answer.ok and "error" not in await answer.text()
    except aiohttp.ClientError:
        return False


async def _listens(address: str) -> bool:
    try:
        _, writer = await asyncio.open_connection(*host_and_port(address))
    except OSError:
        return False
    writer.close()
    return True
