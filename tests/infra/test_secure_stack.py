"""`fairroll up --secure`: the whole pipeline with certificates and signed controls."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec import structs

from devices.hardware.motor import SimulatedMotor
from devices.session.security import Security, read_security
from devices.session.session import Dispenser, Identity, new_id
from infra.local.ports import Ports
from infra.local.stack import LocalStack
from models.contract.codec import encode
from models.contract.messages import ButtonPressed, Dispense, Revision
from models.settings import Settings
from tests.support.intruder import client
from tests.support.processes import dispenser, fairroll

pytestmark = pytest.mark.asyncio(loop_scope="module")

_WITHIN_S = 60.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    folder = tmp_path_factory.mktemp("secure")
    (folder / "sites.toml").write_text('[sites.park]\nmode = "face"\ndevices = ["gate", "lobby"]\n')
    environ = {"FAIRROLL_SITES": str(folder / "sites.toml")}
    async with LocalStack(folder, ports=Ports.free(), environ=environ, is_secure=True) as running:
        yield running


@asynccontextmanager
async def at_the_gate(settings: Settings, security: Security | None = None) -> AsyncIterator[Dispenser]:
    security = security or read_security(settings, "park", "gate")
    gate = Dispenser(
        Identity(site="park", device="gate"), SimulatedMotor(), settings.mqtt, security=security, patience_s=_WITHIN_S
    )
    running = asyncio.create_task(gate.run(), name="gate")
    try:
        async with asyncio.timeout(_WITHIN_S):
            await gate.controlled.wait()
        yield gate
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_button_is_answered(stack: LocalStack) -> None:
    async with at_the_gate(stack.settings) as gate:
        closed = await gate.ask(ButtonPressed(id=new_id()))
    assert closed
    assert isinstance(closed.answer, Dispense)


async def test_commands_find_their_certificates(stack: LocalStack) -> None:
    pressed = await dispenser(stack.settings, "run", "park", "lobby", presses=["button"])
    assert "60 cm" in pressed.out
    status = json.loads((await fairroll(stack.settings, "status", "--json")).out)
    assert not [problem for problem in status["problems"] if "MQTT" in problem]
    audited = await fairroll(stack.settings, "audit", "--json")
    assert "fairroll/v1/park/control" not in audited.out  # its signature is no template


async def test_a_forged_control_is_not_obeyed_and_is_replaced(stack: LocalStack) -> None:
    async with at_the_gate(stack.settings) as gate, client(stack.settings, "egress-2") as thief:
        assert gate.control
        forged = structs.replace(gate.control, revision=Revision(2**50, 0), ration_cm=99_999)
        topic = stack.settings.topics.control("park")
        await thief.publish(topic, encode(forged), qos=1, retain=True)
        async with asyncio.timeout(_WITHIN_S):
            while gate.controlled.is_set():  # it blocks the camera
                await asyncio.sleep(0.01)
            await gate.controlled.wait()  # egress has published its own again
        assert gate.state.memory.control
        assert gate.state.memory.control.ration_cm != forged.ration_cm


async def test_a_request_waits_for_an_ingress_that_is_restarted(stack: LocalStack) -> None:
    async with at_the_gate(stack.settings) as gate:
        await stack.stop("ingress")
        asked = asyncio.create_task(gate.ask(ButtonPressed(id=new_id())))
        await asyncio.sleep(0)
        await stack.start("ingress")
        closed = await asyncio.wait_for(asked, _WITHIN_S)
    assert closed
    assert closed.answer


async def test_a_dispenser_with_a_broken_certificate_keeps_serving(stack: LocalStack, tmp_path: Path) -> None:
    good = read_security(stack.settings, "park", "gate")
    assert good.tls
    copy = tmp_path / "ca.pem"
    copy.write_bytes(good.tls.ca.read_bytes())
    async with at_the_gate(stack.settings, structs.replace(good, tls=structs.replace(good.tls, ca=copy))) as gate:
        copy.write_text("")
        await stack.restart("mosquitto")
        await asyncio.sleep(1)
        copy.write_bytes(good.tls.ca.read_bytes())
        async with asyncio.timeout(_WITHIN_S):
            await gate.controlled.wait()
            closed = await gate.ask(ButtonPressed(id=new_id()))
    assert closed
