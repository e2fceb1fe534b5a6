import asyncio
from typing import Any, cast

from aiomqtt import MqttError

from devices.session.mqtt_connection import Identity, MqttConnection
from models.process.mqtt_client import Client

GATE = Identity(site="park", device="gate")


class SlowClient:
    """In aiomqtt's place: a broker that acknowledges nothing, or loses the connection."""

    def __init__(self, *, is_lost: bool = False) -> None:
        self.published: list[tuple[str, Any]] = []
        self.given_up = 0
        self._is_lost = is_lost

    async def publish(self, topic: str, payload: bytes, *_: object, **__: object) -> None:
        if self._is_lost:
            raise MqttError("lost")
        self.published.append((topic, payload))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise


def line(client: SlowClient) -> MqttConnection:
    return MqttConnection(cast("Client", client), GATE)


async def let_all_run() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_publications_in_flight_are_bounded_and_in_order() -> None:
    client = SlowClient()
    wire = line(client)
    for number in range(500):
        wire.send("report", b"%d" % number)
    await let_all_run()
    assert client.published == [("fairroll/v1/park/gate/report", b"%d" % number) for number in range(64)]


async def test_queued_publications_are_dropped_with_the_connection() -> None:
    client = SlowClient()
    wire = line(client)
    wire.send("request", b"{}", 3)
    await let_all_run()
    wire.drop()
    await let_all_run()
    assert client.given_up == 1


async def test_sending_on_a_lost_connection_raises_nothing() -> None:
    wire = line(SlowClient(is_lost=True))
    for _ in range(500):
        wire.send("report", b"{}")
        await asyncio.sleep(0)
