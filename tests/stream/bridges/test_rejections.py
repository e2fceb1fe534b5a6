"""What a broker's ACL denies is named, not counted and not committed: on a mosquitto that answers with reason codes."""

import asyncio
from collections.abc import AsyncIterator, Iterable, MutableMapping
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import TopicPartition
from msgspec import structs
from structlog.testing import capture_logs

from devices.hardware.motor import SimulatedMotor
from devices.machine.actions import RequestClosed
from devices.session.session import Dispenser, Identity, new_id
from models.contract.codec import encode
from models.contract.messages import ButtonPressed, Dispense
from models.ledger.outcomes import Answered
from models.settings import Settings
from stream_processors.runtime.kafka import open_consumer, open_producer
from tests.support.mosquitto import guarded_mosquitto
from tests.support.services import Service

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def settings(brokers: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    """One may publish and receive everything but commands, and have no shared subscription."""
    folder = tmp_path_factory.mktemp("guarded")
    free = ["fairroll/v1/+/control", "fairroll/v1/+/+/state", "fairroll/v1/+/+/request", "fairroll/v1/+/+/report"]
    async with guarded_mosquitto(folder, publish=free, subscribe=[*free, brokers.topics.mqtt_pipeline]) as mqtt:
        yield structs.replace(brokers, mqtt=mqtt, health="")


async def test_an_ingress_whose_subscription_is_rejected_is_not_ready_and_names_it(settings: Settings) -> None:
    ingress = Service("ingress", settings)
    await ingress.launch()
    try:
        vitals = await ingress.until_not_ready(f"MQTT broker {settings.mqtt} rejected SUBSCRIBE to $share/ingress/")
        assert vitals.last_fault
        assert vitals.last_fault.text.endswith("(0x87 not authorized). Check the ACL of client ingress-1.")
    finally:
        await ingress.end()


async def test_an_egress_whose_command_is_rejected_counts_and_commits_nothing(settings: Settings) -> None:
    command = Dispense(request="request-0000000001", cm=60)
    outcome = Answered(site="park", device="gate", offset=1, at=1, by="button", command=command)
    async with open_producer(settings) as producer:
        decision = await producer.send_and_wait(settings.topics.decisions, encode(outcome), key=b"park")
    egress = Service("egress", settings)
    await egress.launch()
    try:
        text = f"MQTT broker {settings.mqtt} rejected PUBLISH to fairroll/v1/park/gate/command (0x87 not authorized)"
        for _ in range(2):  # it tries again
            assert (await egress.until_not_ready(text)).counts["commands"] == 0
            await asyncio.sleep(1)
    finally:
        await egress.end()
    place = TopicPartition(decision.topic, decision.partition)
    async with open_consumer(settings, settings.topics.decisions, group=settings.topics.egress_group) as consumer:
        assert (await consumer.committed(place) or 0) <= decision.offset


async def test_a_dispenser_whose_subscription_is_rejected_logs_it_and_serves_by_itself(settings: Settings) -> None:
    dispenser = Dispenser(
        Identity(site="park", device="gate"), SimulatedMotor(cm_per_s=10_000), settings.mqtt, patience_s=0.2
    )
    with capture_logs() as logs:
        running = asyncio.create_task(dispenser.run())
        result = await asyncio.wait_for(dispenser.ask(ButtonPressed(id=new_id())), 10)
        while len(_rejections(logs)) < 2:
            await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert isinstance(result, RequestClosed)
    assert result.answer is None
    assert result.cm > 0
    assert _rejections(logs)[0].endswith(
        "rejected SUBSCRIBE to fairroll/v1/park/gate/command (0x87 not authorized). Check the ACL of client park.gate."
    )


def _rejections(logs: Iterable[MutableMapping[str, Any]]) -> list[str]:
    return [str(line["event"]) for line in logs if line["log_level"] == "error"]
