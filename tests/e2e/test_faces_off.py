"""When a real broker's control lets a camera look, and when not: holds, epochs, placement, connections, restarts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from aiomqtt import Client, ProtocolVersion
from msgspec import structs

from devices.hardware.motor import SimulatedMotor
from devices.hardware.panel import Panel, Shown
from devices.journal.sqlite import DiskJournal
from devices.machine.camera_permission import CameraBlocked
from devices.session.session import Dispenser, Identity
from devices.session.site_key import open_site_key_chain, read_site_key
from devices.simulation.synthetic_faces import SYNTHETIC, SyntheticFace
from infra.local.ports import Ports
from infra.local.stack import LocalStack
from models.contract.codec import decode_request, decode_state, encode
from models.contract.messages import ButtonPressed, Control, DeviceState, Dispense, FaceSeen, Request, Revision
from models.contract.topics import Topics
from models.face.capture_result import NotSeen, Seen
from models.face.protection import FARTHEST_EPOCH
from models.keys.key_files import SiteKey
from models.settings import host_and_port

TOPICS = Topics()

WITHIN_S = 20.0
FACES = Control(
    site="park", mode="face", policy="41ae3a6be759", epoch=0, ration_cm=60, ration_budget_cm=6000, window_s=540
)
HELD = structs.replace(FACES, mode="held")


@pytest_asyncio.fixture
async def broker(tmp_path: Path) -> AsyncIterator[LocalStack]:
    async with LocalStack(tmp_path, programs=("mosquitto",), ports=Ports.free()) as stack:
        yield stack


class Site:
    """A stand-in for the pipeline: publishes controls, answers, and receives what park/gate publishes."""

    def __init__(self, client: Client, mqtt: str) -> None:
        self.mqtt = mqtt
        self._client = client
        self._requests: asyncio.Queue[Request] = asyncio.Queue()
        self._states: asyncio.Queue[DeviceState] = asyncio.Queue()

    async def listen(self) -> None:
        async for message in self._client.messages:
            assert isinstance(message.payload, bytes)
            match str(message.topic).rpartition("/")[2]:
                case "request":
                    self._requests.put_nowait(decode_request(message.payload))
                case "state":
                    self._states.put_nowait(decode_state(message.payload))

    async def publish_control(self, control: Control | None) -> None:
        """None: clear the retained control."""
        await self.retain(encode(control) if control else b"")

    async def retain(self, payload: bytes) -> None:
        await self._client.publish(TOPICS.control("park"), payload, 1, retain=True)

    async def answer(self, request: str) -> None:
        command = encode(Dispense(request=request, cm=60))
        await self._client.publish(TOPICS.device("park", "gate", "command"), command, 1)

    async def request(self) -> Request:
        return await asyncio.wait_for(self._requests.get(), WITHIN_S)

    async def state(self) -> DeviceState:
        return await asyncio.wait_for(self._states.get(), WITHIN_S)

    def has_no_request(self) -> bool:
        return self._requests.empty()

    async def cut(self) -> None:
        """Take over the client id of the dispenser, so that it loses its connection and reconnects."""
        async with Client(*host_and_port(self.mqtt), identifier="park.gate", protocol=ProtocolVersion.V5):
            pass


@pytest_asyncio.fixture
async def site(broker: LocalStack) -> AsyncIterator[Site]:
    async with Client(*host_and_port(broker.settings.mqtt), protocol=ProtocolVersion.V5) as client:
        site = Site(client, broker.settings.mqtt)
        await client.subscribe("fairroll/v1/park/gate/+", 1)
        listening = asyncio.create_task(site.listen())
        try:
            yield site
        finally:
            listening.cancel()


class Gate:
    """The dispenser park/gate, its panel, and a camera that counts its captures."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.key = folder / "site-park.key"
        if not self.key.exists():
            self.key.write_text(str(SiteKey(0, bytes(range(32)))))
        self.chain = open_site_key_chain(self.key, SYNTHETIC)
        self.captures = 0
        self.during_a_look: Callable[[], Awaitable[None]] | None = None
        journal = DiskJournal(folder / "park.gate.db", "monday")
        identity = Identity(site="park", device="gate", model=SYNTHETIC.id)
        motor = SimulatedMotor(cm_per_s=1000)
        self.dispenser = Dispenser(identity, motor, site.mqtt, journal=journal, follower=self.chain)
        self._panel = Panel(self.dispenser, self)
        self._face = SyntheticFace(np.random.default_rng(1))

    async def capture(self) -> Seen | NotSeen:
        self.captures += 1
        if self.during_a_look:
            await self.during_a_look()
        made = self.chain.protector
        return Seen(model=SYNTHETIC.id, epoch=made.epoch, template=made.protect(self._face.capture()))

    async def until(self, camera_blocked: CameraBlocked | None) -> None:
        async with asyncio.timeout(WITHIN_S):
            while self.dispenser.camera_blocked != camera_blocked:
                await asyncio.sleep(0.01)

    async def presses_face_until(self, shown: Shown) -> None:
        """Again and again, from before the first word of the broker."""
        async with asyncio.timeout(WITHIN_S):
            while await self.press("face") != shown:
                await asyncio.sleep(0.005)

    async def press(self, what: str) -> Shown:
        match what:
            case "face" | "forget" | "button" as press:
                return await asyncio.wait_for(self._panel.press(press), WITHIN_S)
            case _:
                raise ValueError(what)


@asynccontextmanager
async def running(site: Site, folder: Path) -> AsyncIterator[Gate]:
    gate = Gate(site, folder)
    running = asyncio.create_task(gate.dispenser.run())
    try:
        yield gate
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def is_asked(gate: Gate, site: Site, what: str, kind: type[Request]) -> Request:
    """A visitor presses; the request is received and answered."""
    pressing = asyncio.create_task(gate.press(what))
    request = await site.request()
    assert isinstance(request, kind)
    await site.answer(request.id)
    await pressing
    return request


async def test_from_a_hold_on_nobody_is_looked_at_and_the_button_serves(site: Site, tmp_path: Path) -> None:
    await site.publish_control(FACES)
    async with running(site, tmp_path) as gate:
        await gate.until(None)
        await is_asked(gate, site, "face", FaceSeen)
        await site.publish_control(HELD)
        await gate.until("held")
        assert [await gate.press("face"), await gate.press("forget")] == ["held", "nothing_to_forget"]
        assert (gate.captures, site.has_no_request()) == (1, True)
        await is_asked(gate, site, "button", ButtonPressed)
        assert [(await site.state()).mode for _ in range(3)] == ["button", "face", "held"]
        await site.publish_control(FACES)
        await gate.until(None)
        await is_asked(gate, site, "face", FaceSeen)


async def test_a_look_under_way_when_the_hold_comes_asks_for_nothing(site: Site, tmp_path: Path) -> None:
    async def hold() -> None:
        await site.publish_control(HELD)
        await gate.until("held")

    await site.publish_control(FACES)
    async with running(site, tmp_path) as gate:
        await gate.until(None)
        gate.during_a_look = hold
        assert await gate.press("face") == "held"
        assert gate.captures == 1
        await is_asked(gate, site, "button", ButtonPressed)


async def test_a_request_that_is_out_when_the_hold_comes_is_answered(site: Site, tmp_path: Path) -> None:
    await site.publish_control(FACES)
    async with running(site, tmp_path) as gate:
        await gate.until(None)
        pressing = asyncio.create_task(gate.press("face"))
        request = await site.request()
        await site.publish_control(HELD)
        await gate.until("held")
        await site.answer(request.id)
        shown = await pressing
        assert not isinstance(shown, str | NotSeen)
        assert shown.cm == 60


async def test_who_was_away_while_the_hold_came_looks_at_nobody_when_it_starts_again(
    site: Site, tmp_path: Path
) -> None:
    await site.publish_control(FACES)
    async with running(site, tmp_path) as gate:
        await gate.until(None)
    await site.publish_control(HELD)
    async with running(site, tmp_path) as gate:
        assert await gate.press("face") == "no_control"
        await gate.presses_face_until("held")
        control = gate.dispenser.state.memory.control
        assert control
        assert (control.mode, gate.captures) == ("held", 0)


async def test_who_starts_again_remembers_the_face_mode_and_still_waits_for_a_control(
    site: Site, tmp_path: Path
) -> None:
    await site.publish_control(FACES)
    async with running(site, tmp_path) as gate:
        await gate.until(None)
    await site.publish_control(None)
    while (await site.state()).online:
        pass
    async with running(site, tmp_path) as gate:
        assert (await site.state()).mode == "button"
        assert gate.dispenser.state.memory.control == FACES
        assert await gate.press("face") == "no_control"
        assert gate.captures == 0
        await site.publish_control(FACES)
        await gate.until(None)


async def test_a_new_connection_must_tell_again_how_the_site_works(site: Site, tmp_path: Path) -> None:
    await site.publish_control(FACES)
    async with running(site, tmp_path) as gate:
        await gate.until(None)
        await site.publish_control(None)
        await site.cut()
        await gate.until("no_control")
        while (await site.state()).online:
            pass
        received = await site.state()
        assert (received.online, received.mode) == (True, "button")
        assert await gate.press("face") == "no_control"
        assert gate.captures == 0
        await site.publish_control(FACES)
        await gate.until(None)


async def test_a_hold_that_comes_while_the_connection_is_lost_is_known_before_anybody_is_looked_at(
    site: Site, tmp_path: Path
) -> None:
    await site.publish_control(FACES)
    async with running(site, tmp_path) as gate:
        await gate.until(None)
        await site.cut()
        await gate.until("no_control")
        await site.publish_control(HELD)
        await gate.presses_face_until("held")
        assert gate.captures == 0


async def test_templates_are_of_the_epoch_that_control_names_and_no_key_goes_back(site: Site, tmp_path: Path) -> None:
    await site.publish_control(FACES)
    async with running(site, tmp_path) as gate:
        await gate.until(None)
        first = await is_asked(gate, site, "face", FaceSeen)
        await site.publish_control(structs.replace(FACES, epoch=30))
        while gate.chain.protector.epoch != 30:
            await asyncio.sleep(0.01)
        assert read_site_key(gate.key).epoch == 30
        second = await is_asked(gate, site, "face", FaceSeen)
        assert isinstance(first, FaceSeen)
        assert isinstance(second, FaceSeen)
        assert (first.epoch, second.epoch) == (0, 30)
        wrong: tuple[tuple[int, CameraBlocked], ...] = ((29, "key_ahead"), (FARTHEST_EPOCH + 1, "key_too_far"))
        for epoch, why in wrong:
            await site.publish_control(structs.replace(FACES, epoch=epoch))
            await gate.until(why)
            assert await gate.press("face") == why
        assert (gate.captures, read_site_key(gate.key).epoch, gate.dispenser.mode) == (2, 30, "button")
        await is_asked(gate, site, "button", ButtonPressed)
        await site.publish_control(structs.replace(FACES, epoch=31))
        await gate.until(None)


@pytest.mark.parametrize("control", [HELD, structs.replace(FACES, mode="button")], ids=["held", "button"])
async def test_a_key_steps_on_where_nobody_is_looked_at_too(site: Site, tmp_path: Path, control: Control) -> None:
    await site.publish_control(structs.replace(control, epoch=2))
    async with running(site, tmp_path) as gate:
        await gate.until("held" if control.mode == "held" else "button")
        assert read_site_key(gate.key).epoch == 2


async def test_inside_a_restroom_face_mode_is_button_mode(site: Site, tmp_path: Path) -> None:
    await site.publish_control(structs.replace(FACES, placement="inside"))
    async with running(site, tmp_path) as gate:
        await gate.until("inside")
        assert [await gate.press("face"), await gate.press("forget"), gate.captures] == ["inside", "inside", 0]
        assert gate.dispenser.mode == "button"
        await is_asked(gate, site, "button", ButtonPressed)


@pytest.mark.parametrize(
    "payload",
    [b"", b'{"site":"park","mode":"paused"}', encode(structs.replace(FACES, site="lake", epoch=9))],
    ids=["cleared", "unreadable", "another site's"],
)
async def test_while_the_topic_holds_no_control_of_the_site_nobody_is_looked_at(
    site: Site, tmp_path: Path, payload: bytes
) -> None:
    await site.publish_control(FACES)
    async with running(site, tmp_path) as gate:
        await gate.until(None)
        await site.retain(payload)
        await gate.until("no_control")
        assert await gate.press("face") == "no_control"
        assert (gate.captures, read_site_key(gate.key).epoch) == (0, 0)
        await is_asked(gate, site, "button", ButtonPressed)
        await site.publish_control(FACES)
        await gate.until(None)


async def test_no_control_of_before_a_hold_lets_the_camera_look_not_even_after_a_restart(
    site: Site, tmp_path: Path
) -> None:
    before = structs.replace(FACES, revision=Revision(1000, 7))
    held = structs.replace(HELD, revision=Revision(1000, 8), epoch=4)
    after = structs.replace(FACES, revision=Revision(2000, 3), epoch=4)
    await site.publish_control(held)
    async with running(site, tmp_path) as gate:
        await gate.until("held")
        await site.publish_control(before)
        await is_asked(gate, site, "button", ButtonPressed)
        assert await gate.press("face") == "held"
    async with running(site, tmp_path) as gate:
        await is_asked(gate, site, "button", ButtonPressed)
        assert await gate.press("face") == "no_control"
        await site.publish_control(held)
        await gate.until("held")
        await site.publish_control(after)
        await gate.until(None)
        assert gate.captures == 0


async def test_states_are_numbered_across_connections_and_restarts(site: Site, tmp_path: Path) -> None:
    await site.publish_control(FACES)
    found: list[DeviceState] = []
    async with running(site, tmp_path) as gate:
        await gate.until(None)
        await site.cut()
        await gate.until("no_control")
        await gate.until(None)
        while len(found) < 5:
            found.append(await site.state())
    async with running(site, tmp_path) as gate:
        await gate.until(None)
        while len(found) < 8:
            found.append(await site.state())
    assert [state.online for state in found] == [True, True, False, True, True, False, True, True]
    assert all(later.sequence > earlier.sequence > 0 for earlier, later in pairwise(found))
