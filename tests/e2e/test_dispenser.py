"""A dispenser's process is killed, stopped, cut off: a real one, a real broker, a few lines in the pipeline's place."""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest_asyncio
from aiomqtt import Client, ProtocolVersion
from msgspec import structs

from devices.machine.camera_permission import sign
from infra.local.ports import Ports
from infra.local.stack import LocalStack
from models.contract.codec import decode_report, decode_request, decode_state, encode
from models.contract.messages import (
    Ack,
    Command,
    Control,
    DeviceState,
    Dispense,
    Dispensed,
    LocalRation,
    Mode,
    Report,
    Request,
)
from models.contract.topics import Topics
from models.keys.key_files import SiteKey, site_key_name
from models.settings import host_and_port
from tests.support.processes import DISPENSER, beside, environ_of
from tests.support.processes import dispenser as run_dispenser

TOPICS = Topics()

WITHIN_S = 120.0
CONTROL = Control(
    site="park", mode="button", policy="41ae3a6be759", epoch=0, ration_cm=60, ration_budget_cm=6000, window_s=540
)
MODES: tuple[Mode, ...] = ("face", "held", "button")
SLOW_CM = 3_000
"""Half a minute of the simulated motor: it is killed in the middle."""
RUNNING_S = 1.0
"""After that long a command has arrived and the motor runs."""


@pytest_asyncio.fixture
async def broker(tmp_path: Path) -> AsyncIterator[LocalStack]:
    async with LocalStack(tmp_path, programs=("mosquitto",), ports=Ports.free()) as stack:
        yield stack


class Pipeline:
    """A stand-in for the pipeline: receives all messages of the dispenser park/gate, and sends commands."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._requests: asyncio.Queue[Request] = asyncio.Queue()
        self._reports: asyncio.Queue[Report] = asyncio.Queue()
        self._states: asyncio.Queue[DeviceState] = asyncio.Queue()

    async def listen(self) -> None:
        async for message in self._client.messages:
            assert isinstance(message.payload, bytes)
            match str(message.topic).rpartition("/")[2]:
                case "request":
                    self._requests.put_nowait(decode_request(message.payload))
                case "report":
                    self._reports.put_nowait(decode_report(message.payload))
                case "state":
                    self._states.put_nowait(decode_state(message.payload))

    async def request(self) -> Request:
        return await asyncio.wait_for(self._requests.get(), WITHIN_S)

    async def report(self) -> Report:
        return await asyncio.wait_for(self._reports.get(), WITHIN_S)

    async def state(self) -> DeviceState:
        return await asyncio.wait_for(self._states.get(), WITHIN_S)

    async def set_mode(self, mode: Mode) -> None:
        await self._client.publish(TOPICS.control("park"), encode(structs.replace(CONTROL, mode=mode)), 1, retain=True)

    async def command(self, command: Command) -> None:
        await self._client.publish(TOPICS.device("park", "gate", "command"), encode(command), 1)


@asynccontextmanager
async def pipeline(stack: LocalStack) -> AsyncIterator[Pipeline]:
    host, port = host_and_port(stack.settings.mqtt)
    async with Client(host, port, protocol=ProtocolVersion.V5) as client:
        site = Pipeline(client)
        await site.set_mode("button")
        await client.subscribe("fairroll/v1/park/gate/+", 1)
        listening = asyncio.create_task(site.listen())
        try:
            yield site
        finally:
            listening.cancel()


def dispenser(stack: LocalStack, *options: str) -> AbstractAsyncContextManager[Process]:
    command = (*DISPENSER, "run", "park", "gate", *options)
    return beside(*command, env=environ_of(stack.settings), stdin=PIPE, stderr=PIPE)


async def press(process: Process, what: str) -> None:
    assert process.stdin
    process.stdin.write(f"{what}\n".encode())
    await process.stdin.drain()


async def shown(process: Process) -> str:
    assert process.stdout
    return (await asyncio.wait_for(process.stdout.readline(), WITHIN_S)).decode().strip()


async def complaint(process: Process) -> str:
    assert process.stderr
    return (await asyncio.wait_for(process.stderr.readline(), WITHIN_S)).decode()


async def test_killed_while_its_motor_runs_it_does_not_run_again_and_says_what_happened(broker: LocalStack) -> None:
    async with pipeline(broker) as site:
        async with dispenser(broker) as killed:
            await press(killed, "button")
            first = await site.request()
            await site.command(Dispense(request=first.id, cm=SLOW_CM))
            await asyncio.sleep(RUNNING_S)
            killed.kill()
            assert await shown(killed) == ""
        async with dispenser(broker) as started:
            cut = await site.report()
            assert isinstance(cut, Dispensed)
            assert (cut.number, cut.request, cut.cm, cut.fault) == (1, first.id, 0, "power")
            assert cut.ago_ms > 100
            await site.command(Dispense(request=first.id, cm=SLOW_CM))
            await site.command(Ack(numbers=(1,)))
            await press(started, "button")
            second = await site.request()
            await site.command(Dispense(request=second.id, cm=60))
            assert (await shown(started)).startswith("60 cm, after")
            assert await site.report() == Dispensed(number=2, request=second.id, cm=60)


async def test_what_was_not_noted_is_reported_after_a_kill_and_nothing_else(broker: LocalStack) -> None:
    async with pipeline(broker) as site:
        for number in (1, 2):
            async with dispenser(broker) as killed:
                for received in range(1, number):
                    assert (await site.report()).number == received
                await press(killed, "button")
                await site.command(Dispense(request=(await site.request()).id, cm=60))
                assert (await site.report()).number == number
                killed.kill()
        async with dispenser(broker):
            assert [(await site.report()).number for _ in range(2)] == [1, 2]


async def test_its_retained_state_shows_the_mode_that_it_has_now(broker: LocalStack) -> None:
    async with pipeline(broker) as site, dispenser(broker):
        assert (await site.state()).mode == "button"
        for mode in MODES:
            await site.set_mode(mode)
            received = await site.state()
            assert (received.online, received.mode) == (True, mode)


async def test_reported_to_stop_it_lets_the_paper_come_out_says_goodbye_and_closes_its_journal(
    broker: LocalStack,
) -> None:
    async with pipeline(broker) as site, dispenser(broker) as stopped:
        assert (await site.state()).online
        await press(stopped, "button")
        request = await site.request()
        await site.command(Dispense(request=request.id, cm=300))
        await asyncio.sleep(RUNNING_S)
        stopped.terminate()
        assert not (await site.state()).online
        assert await asyncio.wait_for(stopped.wait(), WITHIN_S) == 0
        assert [path.name for path in (broker.settings.data / "dispensers").iterdir()] == ["park.gate.db"]
        async with dispenser(broker):
            report = await site.report()
            assert isinstance(report, Dispensed)
            assert (report.number, report.cm, report.fault) == (1, 300, None)


async def test_a_second_dispenser_of_the_same_name_on_one_machine_ends_and_says_why(broker: LocalStack) -> None:
    async with pipeline(broker) as site, dispenser(broker):
        assert (await site.state()).online
        second = await run_dispenser(broker.settings, "run", "park", "gate")
        assert second.code == 2
        assert "another process runs this dispenser" in second.err


async def test_a_broker_that_falls_silent_is_noticed_and_people_get_paper_meanwhile(broker: LocalStack) -> None:
    frozen = broker["mosquitto"].pid
    assert frozen
    async with pipeline(broker) as site, dispenser(broker) as alone:
        assert (await site.state()).online
        await press(alone, "button")
        await site.command(Dispense(request=(await site.request()).id, cm=60))
        assert (await shown(alone)).startswith("60 cm, after")
        await site.report()
        os.kill(frozen, signal.SIGSTOP)
        try:
            await press(alone, "button")
            assert await shown(alone) == "60 cm, local ration: no answer within 3.0 s"
            assert "broker lost" in await complaint(alone)
        finally:
            os.kill(frozen, signal.SIGCONT)
        while not isinstance(await site.report(), LocalRation):
            pass


async def test_a_camera_that_hangs_holds_neither_the_button_nor_the_end(broker: LocalStack, tmp_path: Path) -> None:
    photos, secrets = tmp_path / "photos", broker.settings.secrets
    photos.mkdir()
    os.mkfifo(photos / "photo.jpg")
    secrets.mkdir(exist_ok=True)
    (secrets / site_key_name("park")).write_text(str(SiteKey(0, bytes(range(32)))))
    async with pipeline(broker) as site, dispenser(broker, "--photos", str(photos), "--capture-timeout", "4") as gate:
        await site.set_mode("face")
        while (await site.state()).mode != "face":
            pass
        while await shown(gate) != sign(CONTROL, None):
            pass
        for _ in range(2):
            await press(gate, "face")
            await press(gate, "button")
            await site.command(Dispense(request=(await site.request()).id, cm=60))
            assert (await shown(gate)).startswith("60 cm, after")
            assert {await shown(gate) for _ in range(2)} == {"the camera is not ready: please press the button"}
            assert (await site.state()).mode == "button"
            assert await shown(gate) == sign(CONTROL, None)
            assert (await site.state()).mode == "face"
        await press(gate, "face")
        await asyncio.sleep(RUNNING_S)
        gate.terminate()
        assert await asyncio.wait_for(gate.wait(), 5) == 0
