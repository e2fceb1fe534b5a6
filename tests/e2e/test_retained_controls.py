"""The control that the MQTT broker retains is Kafka's newest, whatever ends, lags or publishes in between."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import aiomqtt
import pytest
import pytest_asyncio
from msgspec import structs

from infra.local.ports import Ports
from infra.local.programs import BROKERS
from infra.local.stack import LocalStack
from infra.setup.provision import provision_topics
from models.contract.codec import decode_control, encode
from models.contract.messages import Control, Mode, Revision
from models.contract.topics import Topics, kafka_topics
from models.errors import MalformedMessage
from models.settings import Settings, host_and_port
from stream_processors.runtime.kafka import open_producer
from tests.support.services import Service, away, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOPICS = Topics()
FACES = Control(
    site="park", mode="face", policy="0123456789ab", epoch=0, ration_cm=60, ration_budget_cm=6000, window_s=540
)
WITHIN_S = 20.0

_offsets = count(1)


def control(mode: Mode, site: str = "park") -> Control:
    """Newer than all before it."""
    return structs.replace(FACES, site=site, mode=mode, revision=Revision(1_700_000_000_000, next(_offsets)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    folder = tmp_path_factory.mktemp("controls")
    async with LocalStack(folder, programs=BROKERS, ports=Ports.free()) as stack:
        await provision_topics(stack.settings, kafka_topics(stack.settings.topics, stack.settings.partitions, 540))
        yield stack


@pytest.fixture
def settings(stack: LocalStack) -> Settings:
    return stack.settings


async def append(settings: Settings, *controls: Control) -> None:
    async with open_producer(settings) as producer:
        for one in controls:
            await producer.send_and_wait(TOPICS.controls, encode(one), key=one.site.encode())


async def remove(settings: Settings, site: str) -> None:
    async with open_producer(settings) as producer:
        await producer.send_and_wait(TOPICS.controls, None, key=site.encode())


class Topic:
    """Every value of a site's control topic since the start of the test."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self._came = asyncio.Event()

    async def listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            self.payloads.append(message.payload)
            self._came.set()

    @property
    def modes(self) -> set[str]:
        return {_mode(payload) for payload in self.payloads}

    async def until(self, payload: bytes) -> None:
        """Wait until this is what the topic holds."""
        async with asyncio.timeout(WITHIN_S):
            while not self.payloads or self.payloads[-1] != payload:
                self._came.clear()
                await self._came.wait()


def _mode(payload: bytes) -> str:
    try:
        return decode_control(payload).mode
    except MalformedMessage:
        return ""


@asynccontextmanager
async def watching(settings: Settings, site: str = "park") -> AsyncIterator[Topic]:
    topic = Topic()
    async with aiomqtt.Client(*host_and_port(settings.mqtt), protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.subscribe(TOPICS.control(site), 1)
        listening = asyncio.create_task(topic.listen(client))
        try:
            yield topic
        finally:
            listening.cancel()


async def has_caught_up(settings: Settings) -> None:
    """Return when an egress has published all that Kafka held before."""
    marker = control("button", "marker")
    await append(settings, marker)
    async with watching(settings, "marker") as topic:
        await topic.until(encode(marker))


async def retain(settings: Settings, payload: bytes, site: str = "park") -> None:
    """What another client of the broker does."""
    async with aiomqtt.Client(*host_and_port(settings.mqtt), protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.publish(TOPICS.control(site), payload, 1, retain=True)


async def test_an_egress_that_is_killed_and_started_never_publishes_what_a_hold_forbade(settings: Settings) -> None:
    egress = Service("egress", settings)
    async with running(egress):
        for _ in range(3):
            *before, held = (control(mode) for mode in ("face", "held", "face", "held"))
            await append(settings, *before, held)
            async with watching(settings) as topic:
                await topic.until(encode(held))
                topic.payloads.clear()
                await egress.kill()
                await egress.start()
                await has_caught_up(settings)
                assert topic.modes <= {"held"}


async def test_a_broker_that_lost_what_it_retained_gets_the_newest_again(stack: LocalStack, settings: Settings) -> None:
    face, held = control("face"), control("held")
    await append(settings, face, held)
    async with running(Service("egress", settings)):
        async with watching(settings) as topic:
            await topic.until(encode(held))
        async with away(stack, "mosquitto"):
            for kept in settings.data.rglob("mosquitto.db"):
                kept.unlink()
        async with watching(settings) as topic:
            await topic.until(encode(held))
            assert topic.modes == {"held"}


async def test_a_decider_that_writes_late_brings_nothing_back(settings: Settings) -> None:
    late, held = control("face"), control("held")
    async with running(Service("egress", settings)), watching(settings) as topic:
        await append(settings, held)
        await topic.until(encode(held))
        topic.payloads.clear()
        await append(settings, late)
        await has_caught_up(settings)
        assert topic.payloads == []


async def test_an_egress_that_was_frozen_publishes_nothing_of_meanwhile(settings: Settings) -> None:
    """What it was publishing when it froze still arrives: dispensers ignore that by its revision."""
    first, second = Service("egress", settings, "1"), Service("egress", settings, "2")
    async with running(first, second), watching(settings) as topic:
        face = control("face")
        await append(settings, face)
        await topic.until(encode(face))
        os.kill(second.child.pid, signal.SIGSTOP)
        try:
            meanwhile, held = [control("face") for _ in range(20)], control("held")
            await append(settings, *meanwhile, held)
            await topic.until(encode(held))
            topic.payloads.clear()
        finally:
            os.kill(second.child.pid, signal.SIGCONT)
        await asyncio.sleep(3)
        assert not {encode(one) for one in meanwhile} & set(topic.payloads)
        assert topic.payloads[-1:] in ([], [encode(held)])


@pytest.mark.parametrize("poison", [b"", b"torn", encode(FACES)], ids=["cleared", "unreadable", "outdated"])
async def test_what_somebody_else_leaves_in_the_topic_is_replaced(settings: Settings, poison: bytes) -> None:
    egress, held = Service("egress", settings), control("held")
    async with running(egress), watching(settings) as topic:
        await append(settings, held)
        await topic.until(encode(held))
        await retain(settings, poison)
        await topic.until(poison)
        await topic.until(encode(held))
        _, vitals = await egress.vitals()
        assert vitals.counts["repaired_controls"] == 1
        assert vitals.last_fault
        assert vitals.last_fault.text == "the MQTT broker retained another control of park than Kafka: replaced"


async def test_the_control_of_a_removed_site_is_withdrawn_also_while_no_egress_runs(settings: Settings) -> None:
    egress, face = Service("egress", settings), control("face", "lawn")
    async with running(egress), watching(settings, "lawn") as topic:
        await append(settings, face)
        await topic.until(encode(face))
        await egress.stop()
        await remove(settings, "lawn")
        await egress.start()
        await topic.until(b"")
    async with watching(settings, "lawn") as topic:
        await asyncio.sleep(0.5)
        assert topic.payloads == []


async def test_a_control_that_no_kafka_knows_is_withdrawn(settings: Settings) -> None:
    await retain(settings, encode(control("face", "forged")), "forged")
    async with watching(settings, "forged") as topic, running(Service("egress", settings)):
        await topic.until(b"")
