"""The dispenser on the network: MQTT and motor around the state machine."""

import asyncio
import contextlib
import random
import secrets
import socket
import time
from collections.abc import Coroutine
from typing import assert_never

import structlog
from aiomqtt import Client, Message, MqttError, ProtocolVersion, Will
from msgspec import Struct
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from devices.machine import State, step
from devices.motor import Motor
from devices.moves import (
    Action,
    Asked,
    Closed,
    Commanded,
    Connected,
    Controlled,
    Event,
    Measured,
    RunMotor,
    SendReport,
    SendRequest,
    TimePassed,
)
from models.codec import decode_command, decode_control, encode
from models.errors import MalformedMessage
from models.messages import DeviceState, ForgetAsked, Mode, Report, Request
from models.topics import Channel, DeviceTopic, control_topic

__all__ = ["Dispenser", "Identity", "new_id"]

log = structlog.get_logger()

_QOS = 1
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0
_FIRMWARE = "fairroll-0.1.0"


class Identity(Struct, frozen=True, kw_only=True):
    """Which dispenser this is."""

    site: str
    device: str
    model: str = ""
    """the face model of its camera; empty without one"""

    def topic(self, channel: Channel) -> str:
        return str(DeviceTopic(self.site, self.device, channel))


def new_id() -> str:
    """A request id that nobody has used: 128 random bits."""
    return secrets.token_hex(16)


class Dispenser:
    """One dispenser: `run` keeps it connected, `ask` gives a person their answer.

    Everything that happens goes through the state machine, one event after another; this class does what it says.
    """

    def __init__(self, identity: Identity, motor: Motor, mqtt: str, *, patience_s: float = 3.0) -> None:
        self.identity = identity
        self.state = State()
        self.controlled = asyncio.Event()
        """set while this connection has told how the site works; before, no camera may look"""
        self._motor = motor
        self._host, _, port = mqtt.rpartition(":")
        self._port = int(port)
        self._patience_s = patience_s
        self._client: Client | None = None
        self._waiting: dict[str, asyncio.Future[Closed]] = {}
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def mode(self) -> Mode:
        return self.state.control.mode if self.state.control and self.controlled.is_set() else "button"

    async def ask(self, request: Request) -> Closed | None:
        """Ask and wait for what the person gets; None where somebody else is being served."""
        if not (self.state.is_free or isinstance(request, ForgetAsked)):
            return None
        told: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = told
        self._happened(Asked(request, self._patience_s))
        try:
            return await told
        finally:
            del self._waiting[request.id]

    def measure(self, report: Report) -> None:
        """Report a reading; its number is given here."""
        self._happened(Measured(report))

    async def run(self) -> None:
        """Stay connected until cancelled; after an outage with a jittered wait."""
        wait = _FIRST_WAIT_S
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_time(), name="time")
            while True:
                try:
                    await self._converse()
                except MqttError as error:
                    log.info("broker lost", site=self.identity.site, device=self.identity.device, error=str(error))
                wait = _FIRST_WAIT_S if self.controlled.is_set() else min(2 * wait, _LONGEST_WAIT_S)
                self.controlled.clear()
                await asyncio.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret

    async def _converse(self) -> None:
        """One connection, from the subscription to the loss of the broker."""
        commands, control = self.identity.topic("command"), control_topic(self.identity.site)
        async with self._connect() as client:
            await client.subscribe([(commands, _QOS), (control, _QOS)])
            self._client = client
            await self._announce(online=True)
            self._happened(Connected())
            try:
                async for message in client.messages:
                    self._receive(message, is_control=str(message.topic) == control)
            finally:
                await self._announce(online=False)
                self._client = None

    def _connect(self) -> Client:
        """A session that ends with its connection: what was missed is asked for again, under the same ids."""
        return Client(
            self._host,
            self._port,
            identifier=f"{self.identity.site}.{self.identity.device}",
            protocol=ProtocolVersion.V5,
            clean_start=True,
            will=Will(self.identity.topic("state"), self._said(online=False), _QOS, retain=True),
            # a request is small, and nothing follows that it could be sent together with
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )

    def _said(self, *, online: bool) -> bytes:
        return encode(DeviceState(online=online, firmware=_FIRMWARE, mode=self.mode, model=self.identity.model))

    def _receive(self, message: Message, *, is_control: bool) -> None:
        payload = message.payload if isinstance(message.payload, bytes) else b""
        try:
            if is_control:
                self._happened(Controlled(decode_control(payload)))
                self.controlled.set()
                self._start(self._announce(online=True))
            else:
                self._happened(Commanded(decode_command(payload), retained=bool(message.retain)))
        except MalformedMessage as error:
            log.warning("unreadable message", topic=str(message.topic), reason=str(error))

    def _happened(self, event: Event) -> None:
        self.state, actions = step(self.state, event, time.monotonic())
        self._changed.set()
        for action in actions:
            self._act(action)

    def _act(self, action: Action) -> None:
        match action:
            case SendRequest():
                self._start(self._publish("request", encode(action.request), action.expiry_s))
            case SendReport():
                self._start(self._publish("report", encode(action.report), None))
            case RunMotor():
                self._start(self._run_motor(action.cm))
            case Closed():
                told = self._waiting.get(action.request)
                if told and not told.done():
                    told.set_result(action)
            case _:
                assert_never(action)

    async def _announce(self, *, online: bool) -> None:
        await self._publish("state", self._said(online=online), None, retain=True)

    async def _run_motor(self, cm: int) -> None:
        self._happened(await self._motor.dispense(cm))

    async def _publish(self, channel: Channel, payload: bytes, expiry_s: int | None, *, retain: bool = False) -> None:
        """Send if there is a connection; what is not answered is sent again anyway."""
        properties = Properties(PacketTypes.PUBLISH)
        if expiry_s is not None:
            properties.MessageExpiryInterval = expiry_s
        if self._client:
            with contextlib.suppress(MqttError):
                await self._client.publish(self.identity.topic(channel), payload, _QOS, retain, properties)

    async def _keep_time(self) -> None:
        """Tell the machine when something is due."""
        while True:
            self._changed.clear()
            left = self.state.wakes_at - time.monotonic()
            try:
                async with asyncio.timeout(None if left == float("inf") else max(0.0, left)):
                    await self._changed.wait()
            except TimeoutError:
                self._happened(TimePassed())

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
