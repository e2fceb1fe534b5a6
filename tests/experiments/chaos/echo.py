"""A hostile network in one client: it publishes every request, report and command again, late and out of order.

python -m tests.experiments.chaos.echo SEED    (the broker is FAIRROLL_MQTT)
"""

import asyncio
import os
import random
import signal
import sys

import uvloop
from aiomqtt import Client, Message, ProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from models.settings import Settings

__all__: list[str] = []

_LONGEST_S = 2.0
_MARK = ("echo", "1")
"""Identifies its own messages; no other client reads them."""


async def _run(settings: Settings, seed: int) -> None:
    host, _, port = settings.mqtt.rpartition(":")
    delays = random.Random(seed)
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with Client(host, int(port), protocol=ProtocolVersion.V5, identifier="echo") as client:
        client.pending_calls_threshold = 10_000
        await client.subscribe(
            [(f"{settings.topics.mqtt_root}/+/+/{channel}", 1) for channel in ("request", "report", "command")]
        )
        sys.stdout.write("ready: echo\n")
        sys.stdout.flush()
        async with asyncio.TaskGroup() as echoes:
            async for message in client.messages:
                if _MARK not in getattr(message.properties, "UserProperty", ()):
                    echoes.create_task(_again(client, message, delays.uniform(0, _LONGEST_S)))


async def _again(client: Client, message: Message, delay_s: float) -> None:
    await asyncio.sleep(delay_s)
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [_MARK]
    if (expiry_s := getattr(message.properties, "MessageExpiryInterval", None)) is not None:
        properties.MessageExpiryInterval = expiry_s
    assert isinstance(message.payload, bytes)
    await client.publish(str(message.topic), message.payload, 1, properties=properties)


if __name__ == "__main__":
    try:
        uvloop.run(_run(Settings.from_environ(os.environ), int(sys.argv[1])))
    except asyncio.CancelledError:
        sys.exit()
