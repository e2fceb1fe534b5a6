"""A stop that arrives together with the MQTT broker's answer is obeyed."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from aiomqtt import Client

from devices.session.mqtt_connection import Identity, open_connection
from models.settings import Settings
from stream_processors.runtime.mqtt import open_session

GATE = Identity(site="park", device="stopping")
WITHIN_S = 10.0


async def test_a_service_that_publishes_hears_it(brokers: Settings) -> None:
    async with open_session(brokers, "stopping", 10) as session:
        assert await is_stopped_with_the_answer(session._client, session.publish("stopping", b""))  # noqa: SLF001 - as below


async def test_a_dispenser_that_announces_itself_hears_it(brokers: Settings) -> None:
    async with open_connection(GATE, brokers.mqtt, b"") as line:
        assert await is_stopped_with_the_answer(line._client, line.retain("state", b""))  # noqa: SLF001 - as below


async def is_stopped_with_the_answer(client: Client, publish: Coroutine[Any, Any, None]) -> bool:
    publishing = asyncio.create_task(publish)
    paho = client._client  # noqa: SLF001 - no public API reports a PUBACK before the publisher is resumed
    on_publish = paho.on_publish
    assert on_publish

    def answered(*what: Any) -> None:
        on_publish(*what)
        publishing.cancel()

    paho.on_publish = answered
    async with asyncio.timeout(WITHIN_S):
        await asyncio.gather(publishing, return_exceptions=True)
    return publishing.cancelled()
