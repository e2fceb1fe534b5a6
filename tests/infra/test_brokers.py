"""The local brokers do what the pipeline needs of them."""

import time
import uuid
from typing import Any

import aiohttp
import aiomqtt
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.rest import ApiException

from infra.setup.provision import provision_topics
from models.contract.topics import KafkaTopic
from models.settings import Settings
from tests.support.processes import beside, broker_of

_LONG_AGO_MS = 1_000_000_000_000


async def test_mosquitto_brings_a_publish_to_a_subscriber(brokers: Settings) -> None:
    host, _, port = brokers.mqtt.rpartition(":")
    async with beside("mosquitto_sub", *broker_of(brokers), "-t", "hello", "-C", "1", "-W", "10") as listener:
        async with aiomqtt.Client(host, int(port)) as client:
            await client.publish("hello", b"paper", qos=1, retain=True)
        printed, _ = await listener.communicate()
    assert printed == b"paper\n"


async def test_mosquitto_takes_a_payload_of_one_megabyte(brokers: Settings) -> None:
    host, _, port = brokers.mqtt.rpartition(":")
    async with aiomqtt.Client(host, int(port)) as client:
        await client.subscribe("large", qos=1)
        await client.publish("large", bytes(1_000_000), qos=1)
        message = await anext(aiter(client.messages))
    assert len(message.payload) == 1_000_000


async def test_kafka_stamps_records_with_its_own_clock(brokers: Settings) -> None:
    topic = f"t{uuid.uuid4().hex}"
    await provision_topics(brokers, [KafkaTopic(topic, 1, {})])
    before = time.time() * 1000
    async with AIOKafkaProducer(bootstrap_servers=brokers.kafka) as producer:
        await producer.send_and_wait(topic, b"kept", timestamp_ms=_LONG_AGO_MS)
    async with AIOKafkaConsumer(topic, bootstrap_servers=brokers.kafka, auto_offset_reset="earliest") as consumer:
        record = await anext(consumer)
    assert record.value == b"kept"
    assert before - 1000 < record.timestamp < time.time() * 1000 + 1000


async def test_influx_answers_in_influxql_what_was_written_to_version_2(brokers: Settings) -> None:
    measurement = f"m{uuid.uuid4().hex}"
    async with _influx(brokers, brokers.influx_token) as client:
        assert await client.write_api().write(brokers.influx_bucket, record=f"{measurement} value=7i")
    question = {"db": brokers.influx_bucket, "q": f'SELECT value FROM "autogen"."{measurement}"'}
    answer = await _query(brokers, question, brokers.influx_token)
    assert answer["results"][0]["series"][0]["values"][0][1] == 7


@pytest.mark.parametrize(
    ("bucket", "precision", "a_second"),
    [("fairroll", "s", 1), ("fairroll/autogen", "ms", 1000), ("fairroll", "us", 10**6)],
)
async def test_bucket_and_precision_reach_influx(brokers: Settings, bucket: str, precision: str, a_second: int) -> None:
    """At a time within the retention that another test may have set up."""
    measurement, at_s = f"m{uuid.uuid4().hex}", int(time.time())
    stamp = at_s * a_second
    async with _influx(brokers, brokers.influx_token) as client:
        await client.write_api().write(bucket, record=f"{measurement} value=1 {stamp}", write_precision=precision)
    question = {"db": "fairroll", "epoch": "ms", "q": f'SELECT value FROM "autogen"."{measurement}"'}
    answer = await _query(brokers, question, brokers.influx_token)
    assert answer["results"][0]["series"][0]["values"] == [[at_s * 1000, 1]]


async def test_gateway_refuses_another_token(brokers: Settings) -> None:
    async with _influx(brokers, "guessed") as client:
        with pytest.raises(ApiException, match="401"):
            await client.write_api().write(brokers.influx_bucket, record="m value=1")
    assert (await _query(brokers, {"q": "SHOW DATABASES"}, "guessed"))["code"] == "unauthorized"


async def test_gateway_answers_nothing_else(brokers: Settings) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{brokers.influx_url}/debug/vars") as answer:
        assert answer.status == 404


def _influx(brokers: Settings, token: str) -> InfluxDBClientAsync:
    return InfluxDBClientAsync(brokers.influx_url, token, brokers.influx_org)


async def _query(brokers: Settings, question: dict[str, str], token: str) -> Any:
    headers = {"Authorization": f"Token {token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{brokers.influx_url}/query", data=question) as answer,
    ):
        return await answer.json()
