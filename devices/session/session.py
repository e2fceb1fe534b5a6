"""The dispenser on the network: MQTT, motor and journal around the state machine."""

import asyncio
import random
import secrets
import time
from contextlib import suppress
from typing import assert_never

import structlog
from aiomqtt import Message, MqttError

from devices.hardware.motor import GuardedMotor, Motor
from devices.hardware.readings import BadReading, checked
from devices.journal.port import InMemoryJournal, Journal
from devices.machine.actions import (
    Action,
    CommandReceived,
    Connected,
    Connecting,
    ControlLost,
    ControlReceived,
    Disconnected,
    Event,
    Measured,
    RequestClosed,
    RequestMade,
    RunMotor,
    SendReport,
    SendRequest,
    StepKey,
    TimePassed,
)
from devices.machine.camera_permission import CameraBlocked, camera_blocked
from devices.machine.dispenser import resume, step
from devices.machine.state import State
from devices.session.mqtt_connection import Identity, MqttConnection, open_connection
from devices.session.site_key import EpochFollower, KeyUnavailable
from models.backoff import Backoff
from models.contract.codec import decode_command, decode_control, encode
from models.contract.messages import Ack, Control, DeviceState, ForgetAsked, Mode, Report, Request
from models.errors import MalformedMessage

__all__ = ["Dispenser", "Identity", "new_id"]

log = structlog.get_logger()

_FIRMWARE = "fairroll-0.1.0"
_OFFLINE_TIMEOUT_S = 2.0
"""For the broker to hear that the dispenser goes."""
_STABLE_AFTER_S = 5.0
"""A connection that stood for less counts as a failed one: two dispensers with one client id throw each other out, and
would do so as fast as they can."""
_MOTOR_TIMEOUT_S = 10.0
"""What a stop waits for paper that is coming out."""


def new_id() -> str:
    """A request id that nobody has used: 128 random bits."""
    return secrets.token_hex(16)


class Dispenser:
    """One dispenser: `run` keeps it connected, `ask` gives a person their answer.

    Everything that happens goes through the state machine, one event after another. What is to be remembered is saved
    before anything is done: durable before the motor moves and before a report is sent. A save blocks everything else,
    for a fraction of a millisecond on a solid-state disk; one person at a time stands here.
    """

    def __init__(
        self,
        identity: Identity,
        motor: Motor,
        mqtt: str,
        *,
        journal: Journal | None = None,
        follower: EpochFollower | None = None,
        patience_s: float = 3.0,
    ) -> None:
        """`mqtt`: host:port of the broker. Without a journal a dispenser remembers nothing across a restart.

        `follower`: whatever makes templates here; it follows the epoch of the site's control.
        """
        self.identity = identity
        self.state = State()
        self.controlled = asyncio.Event()
        """set while this connection has told how the site works; before, no camera may look"""
        self.permission_changed = asyncio.Event()
        """set at each control; whoever waits for the next one clears it"""
        self._motor = GuardedMotor(motor)
        self._mqtt = mqtt
        self._journal: Journal = journal or InMemoryJournal()
        self._follower = follower
        self._key_unavailable: KeyUnavailable | None = None
        self._is_camera_ready = True
        self._republishing: asyncio.Task[None] | None = None
        self._patience_ms = round(1000 * patience_s)
        self._connection: MqttConnection | None = None
        self._published_state: DeviceState | None = None
        self._sequence = 0
        """of the next state on this connection"""
        self._running: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[RequestClosed]] = {}
        self._changed = asyncio.Event()

    @property
    def control(self) -> Control | None:
        """How the site works, as this connection told; None before."""
        return self.state.control

    @property
    def camera_blocked(self) -> CameraBlocked | None:
        """Why no camera may look at anybody now; None where it may."""
        return camera_blocked(self.control, self._key_unavailable or (None if self._is_camera_ready else "camera_down"))

    @property
    def mode(self) -> Mode:
        """How it works now, which may be with the button where its site works with faces."""
        match self.camera_blocked:
            case None:
                return "face"
            case "held":
                return "held"
            case _:
                return "button"

    def camera_changed(self, is_ready: bool) -> None:
        """Tell whether looks can be taken; while they cannot, it works with the button, and its state says so."""
        self._is_camera_ready = is_ready
        self.permission_changed.set()
        if self._connection:
            self._republishing = asyncio.create_task(self._republish_state(self._connection), name="announce")

    @property
    def is_free(self) -> bool:
        """Whether somebody can ask for paper."""
        return self.state.is_free

    async def ask(self, request: Request) -> RequestClosed | None:
        """Ask, while `run` runs, and wait for what the person gets; None where somebody else is being served."""
        if not (self.state.is_free or isinstance(request, ForgetAsked)):
            return None
        told: asyncio.Future[RequestClosed] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = told
        self._apply(RequestMade(request, self._patience_ms))
        try:
            return await told
        finally:
            del self._waiting[request.id]

    def measure(self, report: Report) -> None:
        """Report a reading; its number is given here. One that the contract does not allow is logged and dropped."""
        try:
            self._apply(Measured(checked(report)))
        except BadReading as error:
            log.error("reading dropped", kind=type(report).__name__, error=str(error))

    async def run(self) -> None:
        """Go on with what the journal remembers, and stay connected until cancelled.

        Cancelling stops it in order: the broker hears that it goes, paper that is coming out comes out, the journal is
        closed. Raises ConfigError where another process runs this dispenser.
        """
        now = _now_ms()
        self.state = resume(self._journal.load(now))
        self._journal.save(self.state.memory, now)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._run_timer(), name="time")
                tasks.create_task(self._keep_connected(), name="connection")
        finally:
            if self._running:
                await asyncio.wait({self._running}, timeout=_MOTOR_TIMEOUT_S)
            self._journal.save(self.state.memory, _now_ms())
            self._journal.close()

    async def _keep_connected(self) -> None:
        """One connection after another, with a jittered wait between them."""
        backoff = Backoff(random.uniform, worked_s=_STABLE_AFTER_S)
        while True:
            started = time.monotonic()
            try:
                await self._run_connection()
            except (MqttError, TimeoutError) as error:
                log.info("broker lost", site=self.identity.site, device=self.identity.device, error=repr(error))
            await asyncio.sleep(backoff.after(time.monotonic() - started))

    async def _run_connection(self) -> None:
        """One connection, from the subscription to the loss of the broker."""
        self._apply(Connecting())
        self._sequence = self.state.first_sequence
        will = self._state(online=False, sequence=self.state.will_sequence)
        async with open_connection(self.identity, self._mqtt, encode(will)) as connection:
            self._connection = connection
            try:
                await self._publish_state(connection)
                self._apply(Connected())
                async for message, is_control in connection.messages():
                    if is_control:
                        self._receive_control(message)
                        await self._publish_state(connection)
                    else:
                        self._receive_command(message)
            except asyncio.CancelledError:
                await self._publish_offline(connection)
                raise
            finally:
                self._connection = None
                self._published_state = None
                self._apply(Disconnected())

    def _state(self, *, online: bool, sequence: int) -> DeviceState:
        return DeviceState(
            online=online, sequence=sequence, firmware=_FIRMWARE, mode=self.mode, model=self.identity.model
        )

    async def _publish_state(self, connection: MqttConnection) -> None:
        """Publish the state, retained: at first, and whenever it is another one. Raises MqttError or TimeoutError."""
        if self._published_state and self._published_state.mode == self.mode:
            return
        self._published_state = self._state(online=True, sequence=self._next_sequence())
        await connection.retain("state", encode(self._published_state))

    async def _republish_state(self, connection: MqttConnection) -> None:
        """A connection that is lost announces anew on the next one."""
        with suppress(MqttError, TimeoutError):
            await self._publish_state(connection)

    def _next_sequence(self) -> int:
        """Never the will's, however often the state changes on one connection."""
        sequence = self._sequence
        self._sequence = min(sequence + 1, self.state.will_sequence - 1)
        return sequence

    async def _publish_offline(self, connection: MqttConnection) -> None:
        """A wanted end sends no will."""
        with suppress(MqttError, TimeoutError):
            async with asyncio.timeout(_OFFLINE_TIMEOUT_S):
                await connection.retain("state", encode(self._state(online=False, sequence=self._next_sequence())))

    def _receive_control(self, message: Message) -> None:
        """Follow the site's control; while its topic holds none, no camera may look."""
        try:
            control = decode_control(_payload(message))
            if control.site != self.identity.site:
                raise MalformedMessage(f"it names another site: {control.site}")
        except MalformedMessage as error:
            log.warning("no control of this site", topic=str(message.topic), reason=str(error))
            self._apply(ControlLost())
        else:
            if not self.state.memory.accepts(control):
                log.warning("an older control is ignored", topic=str(message.topic), revision=control.revision)
            self._apply(ControlReceived(control))
        self.permission_changed.set()

    def _receive_command(self, message: Message) -> None:
        try:
            command = decode_command(_payload(message))
        except MalformedMessage as error:
            log.warning("unreadable command", topic=str(message.topic), reason=str(error))
            return
        if isinstance(command, Ack) and command.reason:
            log.error("the pipeline cannot read reports", numbers=command.numbers, reason=command.reason)
        self._apply(CommandReceived(command, retained=bool(message.retain)))

    def _apply(self, event: Event) -> None:
        now = _now_ms()
        remembered = self.state.memory
        self.state, actions = step(self.state, event, now)
        if self.state.memory is not remembered:
            self._journal.save(self.state.memory, now)
        self._changed.set()
        for action in actions:
            self._execute(action)
        (self.controlled.set if self.state.is_controlled else self.controlled.clear)()

    def _execute(self, action: Action) -> None:
        match action:
            case SendRequest():
                if self._connection:
                    self._connection.send("request", encode(action.request), action.expiry_s)
            case SendReport():
                if self._connection:
                    self._connection.send("report", encode(action.report))
            case StepKey():
                # nothing can look between the control and this: no template is made under a key of another epoch
                self._key_unavailable = self._follower.follow(action.epoch) if self._follower else None
            case RunMotor():
                self._running = asyncio.create_task(self._run_motor(action.cm), name="motor")
            case RequestClosed():
                told = self._waiting.get(action.request)
                if told and not told.done():
                    told.set_result(action)
            case _:
                assert_never(action)

    async def _run_motor(self, cm: int) -> None:
        self._apply(await self._motor.dispense(cm))

    async def _run_timer(self) -> None:
        """Tell the machine when something is due."""
        while True:
            self._changed.clear()
            wakes_at = self.state.wakes_at
            try:
                async with asyncio.timeout(None if wakes_at is None else max(0, wakes_at - _now_ms()) / 1000):
                    await self._changed.wait()
            except TimeoutError:
                self._apply(TimePassed())


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _payload(message: Message) -> bytes:
    return message.payload if isinstance(message.payload, bytes) else b""
