"""Whether a broker does its work now. An open port is not enough: Kafka opens its own before it can take a record."""

import asyncio

import aiohttp
import aiomqtt
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

__all__ = ["gateway_answers", "influx_has_database", "kafka_answers", "mqtt_answers"]

_PATIENCE_S = 5
_HTTP_PATIENCE = aiohttp.ClientTimeout(total=_PATIENCE_S)


async def mqtt_answers(address: str) -> bool:
    """True once the broker has accepted a connection."""
    host, _, port = address.rpartition(":")
    try:
        async with aiomqtt.Client(host, int(port), timeout=_PATIENCE_S):
            return True
    except aiomqtt.MqttError:
        return False


async def kafka_answers(address: str) -> bool:
    """True once the broker would make a topic, so that it can take records too. None is made."""
    if not await _listens(address):
        return False
    admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=_PATIENCE_S * 1000)
    try:
        await admin.start()
        answer = await admin.create_topics([NewTopic("fairroll.ready", 1, 1)], validate_only=True)
    except KafkaError:
        return False
    finally:
        await admin.close()
    return all(code == 0 for _, code, *_ in answer.topic_errors)


async def influx_has_database(url: str, database: str) -> bool:
    """True once InfluxDB 1 has the database, which this makes if need be."""
    try:
        async with (
            aiohttp.ClientSession(timeout=_HTTP_PATIENCE) as http,
            http.post(f"{url}/query", data={"q": f'CREATE DATABASE "{database}"'}) as answer,
        ):
            return answer.ok and "error" not in await answer.text()
    except aiohttp.ClientError:
        return False


async def gateway_answers(url: str) -> bool:
    """True once InfluxDB answers through the gateway."""
    try:
        async with aiohttp.ClientSession(timeout=_HTTP_PATIENCE) as http, http.get(f"{url}/ping") as answer:
            return answer.ok
    except aiohttp.ClientError:
        return False


async def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    return True
