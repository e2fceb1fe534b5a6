"""The topic of states, of two ingresses on real brokers: the last record of a dispenser is its newest state."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import aiomqtt
import pytest
import pytest_asyncio

from infra.local.ports import Ports
from infra.local.programs import BROKERS
from infra.local.stack import LocalStack
from infra.setup.provision import provision_topics
from models.contract.codec import decode_state, encode
from models.contract.messages import DeviceState
from models.contract.topics import Topics, kafka_topics
from models.ledger.rules.policy import Sites, SiteSpec
from models.settings import Settings, host_and_port
from stream_processors.runtime.consumer_lag import partitions_of
from stream_processors.runtime.kafka import open_consumer, read_to_end
from tests.support.registry import register
from tests.support.services import Service, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOPICS = Topics()
DEVICES = [f"d{number}" for number in range(15)]
BURST = 8


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def settings(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    folder = tmp_path_factory.mktemp("states")
    async with LocalStack(folder, programs=BROKERS, ports=Ports.free()) as stack:
        await provision_topics(stack.settings, kafka_topics(stack.settings.topics, stack.settings.partitions, 540))
        await register(stack.settings, Sites(sites={"park": SiteSpec(devices=tuple(DEVICES))}))
        yield stack.settings


async def last_values(settings: Settings) -> dict[str, bytes | None]:
    """The last record of each dispenser, which is what compaction keeps."""
    partitions = partitions_of(settings, TOPICS.states)
    async with open_consumer(settings, group=None) as consumer:
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        return {record.key.decode(): record.value for record in await read_to_end(consumer, partitions)}


async def publish(settings: Settings, device: str, payloads: list[bytes]) -> None:
    async with aiomqtt.Client(*host_and_port(settings.mqtt), protocol=aiomqtt.ProtocolVersion.V5) as client:
        for payload in payloads:
            await client.publish(TOPICS.device("park", device, "state"), payload, 1, retain=True)


def state(sequence: int, *, online: bool = True) -> bytes:
    return encode(DeviceState(online=online, sequence=sequence))


def both(settings: Settings) -> tuple[Service, Service]:
    """A session that one leaves behind would keep its share of what is published."""
    return Service("ingress", settings, "1"), Service("ingress", settings, "2")


async def until_last(settings: Settings, expected: Mapping[str, bytes | None]) -> None:
    async with asyncio.timeout(20):
        while (found := await last_values(settings)) != expected:
            await asyncio.sleep(0.2)
    await asyncio.sleep(1)
    assert await last_values(settings) == found


async def test_bursts_through_two_ingresses_end_with_the_newest_state(settings: Settings) -> None:
    numbers = range(2, 2 + BURST)
    async with running(*both(settings)):
        bursts = (publish(settings, device, [state(number) for number in numbers]) for device in DEVICES)
        await asyncio.gather(*bursts)
        await until_last(settings, {f"park/{device}": state(numbers[-1]) for device in DEVICES})


async def test_an_ingress_that_starts_mends_an_order_that_was_left_behind(settings: Settings) -> None:
    before = {key: value for key, value in (await last_values(settings)).items() if value}
    async with running(*both(settings)):
        await publish(settings, "d0", [state(50), state(40)])
        await until_last(settings, before | {"park/d0": state(50)})
    assert decode_state(before["park/d1"]).sequence == BURST + 1


async def test_a_cleared_state_is_forgotten(settings: Settings) -> None:
    before = await last_values(settings)
    async with running(*both(settings)):
        await publish(settings, "d3", [state(90)])
        await until_last(settings, before | {"park/d3": state(90)})
        await publish(settings, "d3", [b""])
        await until_last(settings, before | {"park/d3": None})
