"""The dispenser on the network: the asyncio shell around the state machine, with MQTT, motor and journal."""

import asyncio
import random
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import assert_never

import structlog
from aiomqtt import Message, MqttError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

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
from devices.session.published_state import PublishedState
from devices.session.security import UNSECURED, Security, read_control
from devices.session.site_key import EpochFollower, KeyUnavailable
from models.backoff import Backoff
from models.contract.codec import decode_command, encode
from models.contract.messages import Ack, Control, ForgetRequested, Mode, Report, Request
from models.errors import ConfigError, MalformedMessage
from models.process.mqtt_client import MqttRejected

__all__ = ["Dispenser", "Identity", "new_id"]

log = structlog.get_logger()

_STABLE_AFTER_S = 5.0
"""A shorter connection counts as failed, for the backoff: two dispensers with one client id disconnect each other, and
would reconnect without a delay."""
_MOTOR_TIMEOUT_S = 10.0
"""Timeout of a stop for a motor that runs."""


def new_id() -> str:
    """Return a new request id: 128 random bits in hexadecimal."""
    return secrets.token_hex(16)


class Dispenser:
    """One dispenser: `run` keeps it connected, `ask` makes a request and returns its result.

    Each event goes through the state machine, one after another. A changed memory is saved before the actions are
    executed: it is durable before the motor moves and before a report is sent. A save blocks the event loop, for a
    fraction of a millisecond on a solid-state disk; there is one visitor at a time.
    """

    def __init__(
        self,
        identity: Identity,
        motor: Motor,
        mqtt: str,
        *,
        security: Security = UNSECURED,
        journal: Journal | None = None,
        follower: EpochFollower | None = None,
        patience_s: float = 3.0,
    ) -> None:
        """`mqtt`: host:port of the broker. Without a journal nothing survives a restart.

        `follower`: steps the site key to the epoch of each control; `patience_s`: how long a visitor waits.
        """
        self.identity = identity
        self.state = State()
        self.controlled = asyncio.Event()
        """set while a control is in effect on this connection; otherwise the camera is blocked"""
        self.permission_changed = asyncio.Event()
        """set at each control and each change of the camera; the consumer clears it"""
        self._motor = GuardedMotor(motor)
        self._mqtt, self._security = mqtt, security
        self._control_keys: Sequence[Ed25519PublicKey] | None = None
        self._journal: Journal = journal or InMemoryJournal()
        self._follower = follower
        self._key_unavailable: KeyUnavailable | None = None
        self._is_camera_ready = True
        self._republishing: asyncio.Task[None] | None = None
        self._patience_ms = round(1000 * patience_s)
        self._connection: MqttConnection | None = None
        self._published_state: PublishedState | None = None
        self._running: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[RequestClosed]] = {}
        self._changed = asyncio.Event()

    @property
    def control(self) -> Control | None:
        """The control received on this connection; None before one is received."""
        return self.state.control

    @property
    def camera_blocked(self) -> CameraBlocked | None:
        """Why the camera must not capture now; None if it may."""
        return camera_blocked(self.control, self._key_unavailable or (None if self._is_camera_ready else "camera_down"))

    @property
    def mode(self) -> Mode:
        """The mode in effect: button at a site in face mode while the camera is blocked."""
        match self.camera_blocked:
            case None:
                return "face"
            case "held":
                return "held"
            case _:
                return "button"

    def camera_changed(self, is_ready: bool) -> None:
        """Record whether the camera is ready; publish the state if the mode changes."""
        self._is_camera_ready = is_ready
        self.permission_changed.set()
        self._republishing = asyncio.create_task(self._republish_state(), name="state")

    @property
    def is_free(self) -> bool:
        """Whether a visitor can make a request for paper."""
        return self.state.is_free

    async def ask(self, request: Request) -> RequestClosed | None:
        """Make a request and wait for its result, while `run` runs; None if another request is open."""
        if not (self.state.is_free or isinstance(request, ForgetRequested)):
            return None
        result: asyncio.Future[RequestClosed] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = result
        self._apply(RequestMade(request, self._patience_ms))
        try:
            return await result
        finally:
            del self._waiting[request.id]

    def measure(self, report: Report) -> None:
        """Report a sensor reading; the state machine assigns its number. An invalid reading is logged and dropped."""
        try:
            self._apply(Measured(checked(report)))
        except BadReading as error:
            log.error("reading dropped", kind=type(report).__name__, error=str(error))

    async def run(self) -> None:
        """Load the journal and stay connected until cancelled.

        Cancellation stops the dispenser in order: the offline state is published, a running motor finishes, the journal
        is closed. Raises ConfigError if another process runs this dispenser.
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
        """Reconnect after each loss of the connection, with backoff and jitter.

        A certificate that cannot be read is a loss too: visitors get local rations until it is mended.
        """
        backoff = Backoff(random.uniform, worked_s=_STABLE_AFTER_S)
        while True:
            started = time.monotonic()
            try:
                await self._run_connection()
            except MqttRejected as rejection:
                log.error(str(rejection))
            except (MqttError, TimeoutError, ConfigError) as error:
                log.info("broker lost", site=self.identity.site, device=self.identity.device, error=repr(error))
            await asyncio.sleep(backoff.after(time.monotonic() - started))

    async def _run_connection(self) -> None:
        """Run one connection, from the subscription to its loss."""
        self._control_keys = self._security.control_keys()
        self._apply(Connecting())
        states = PublishedState(self.identity.model, self.state.first_sequence, self.state.will_sequence)
        will = states.will(self.mode)
        async with open_connection(self.identity, self._mqtt, will, self._security.tls) as connection:
            self._connection, self._published_state = connection, states
            try:
                await states.publish(connection, self.mode)
                self._apply(Connected())
                async for message, is_control in connection.messages():
                    if is_control:
                        self._receive_control(message)
                        await states.publish(connection, self.mode)
                    else:
                        self._receive_command(message)
            except asyncio.CancelledError:
                await states.publish_offline(connection, self.mode)
                raise
            finally:
                self._connection = self._published_state = None
                self._apply(Disconnected())

    async def _republish_state(self) -> None:
        """Publish a changed state; after a loss of the connection the next one publishes it."""
        with suppress(MqttError, TimeoutError):
            if self._connection and self._published_state:
                await self._published_state.publish(self._connection, self.mode)

    def _receive_control(self, message: Message) -> None:
        """Apply a control of the site; one that is unreadable, not signed, or of another site blocks the camera."""
        try:
            control = read_control(_payload(message), str(message.topic), self.identity.site, self._control_keys)
        except MalformedMessage as error:
            log.warning("control unusable: camera blocked", topic=str(message.topic), reason=str(error))
            self._apply(ControlLost())
        else:
            if not self.state.memory.accepts(control):
                # the state machine ignores it
                log.warning("older control ignored", topic=str(message.topic), revision=control.revision)
            self._apply(ControlReceived(control))
        self.permission_changed.set()

    def _receive_command(self, message: Message) -> None:
        try:
            command = decode_command(_payload(message))
        except MalformedMessage as error:
            log.warning("command unreadable, dropped", topic=str(message.topic), reason=str(error))
            return
        if isinstance(command, Ack) and command.reason:
            log.error("reports rejected as unreadable by the pipeline", numbers=command.numbers, reason=command.reason)
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
                # executed in the same step as the control: no template is protected under a key of another epoch
                self._key_unavailable = self._follower.follow(action.epoch) if self._follower else None
            case RunMotor():
                self._running = asyncio.create_task(self._run_motor(action.cm), name="motor")
            case RequestClosed():
                result = self._waiting.get(action.request)
                if result and not result.done():
                    result.set_result(action)
            case _:
                assert_never(action)

    async def _run_motor(self, cm: int) -> None:
        self._apply(await self._motor.dispense(cm))

    async def _run_timer(self) -> None:
        """Apply TimePassed at each deadline or repetition that is due."""
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
