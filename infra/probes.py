"""Probes of the brokers, with the settings of the services: TLS, users, tokens.

Each probe returns why the broker does not answer, or "" if it does.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from aiokafka.errors import KafkaError
from aiomqtt import MqttError

from models.process.mqtt_client import Client
from models.settings import Settings, host_and_port
from stream_processors.runtime.kafka import open_admin

__all__ = ["PROBE_S", "influx_fault", "kafka_fault", "mqtt_fault"]

PROBE_S = 5.0
"""Timeout of a probe."""
_IN_TIME = f"no answer within {PROBE_S:g} s"


async def mqtt_fault(settings: Settings) -> str:
    """The broker answers once it has accepted a connection. Raises ConfigError for a bad certificate."""
    client = Client(*host_and_port(settings.mqtt), tls=settings.mqtt_tls("operator"))
    try:
        async with asyncio.timeout(PROBE_S), client:
            return ""
    except MqttError as error:
        return str(error)
    except TimeoutError:
        return _IN_TIME


async def kafka_fault(settings: Settings) -> str:
    """Authenticate with Kafka and list its topics. Raises ConfigError for an invalid certificate file."""
    with _complaints_of_aiokafka() as complaints:
        try:
            async with asyncio.timeout(PROBE_S), open_admin(settings) as admin:
                await admin.list_topics()
                return ""
        except KafkaError as error:
            return complaints[-1] if complaints else str(error)
        except TimeoutError:
            return complaints[-1] if complaints else _IN_TIME


async def influx_fault(settings: Settings) -> str:
    """Ping InfluxDB, or a proxy in front of it."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PROBE_S)) as http,
            http.get(f"{settings.influx_url}/ping") as answer,
        ):
            return "" if answer.ok else f"{answer.status} {answer.reason}"
    except aiohttp.ClientError as error:
        return str(error)
    except TimeoutError:
        return _IN_TIME


@contextmanager
def _complaints_of_aiokafka() -> Iterator[list[str]]:
    """Collect aiokafka's log: it has the reason of a failed connection, which the exception lacks."""
    complaints: list[str] = []
    logger, handler = logging.getLogger("aiokafka"), logging.Handler(logging.WARNING)
    handler.emit = lambda record: complaints.append(record.getMessage())  # type: ignore[method-assign]  # one sink
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield complaints
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated
