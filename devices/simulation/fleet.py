"""A simulated fleet: many dispensers in one process, and visitors with seeded random arrivals."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from msgspec import Struct, field

from devices.hardware.motor import SimulatedMotor
from devices.journal.port import Journal
from devices.machine.actions import RequestClosed
from devices.session.security import read_security
from devices.session.session import Dispenser, Identity, new_id
from devices.session.site_key import SiteKeyChain
from devices.simulation.synthetic_faces import SYNTHETIC, SyntheticFace
from models.contract.messages import (
    ButtonPressed,
    Dispense,
    FaceSeen,
    ForgetRequested,
    Refuse,
    Request,
    StaffPressed,
    Stock,
)
from models.settings import Settings

__all__ = ["Fleet", "Tally", "Visits"]

_ROLL_CM = 100_000
_CM_PER_S = 300.0
_SETTLE_TIMEOUT_S = 15.0


class Visits(Struct, frozen=True, kw_only=True):
    """Parameters of the visits. Each share is of all visits; the rest are requests by face."""

    visitors: int = 400
    seconds: float = 60.0
    """from the first to the last arrival; arrivals are a Poisson process"""
    again: float = 0.3
    """share of the visitors who immediately make a second request"""
    button: float = 0.1
    staff: float = 0.02
    forget: float = 0.02
    seed: int = 1


class Tally(Struct, kw_only=True):
    """Counts of the fleet so far."""

    requests: int = 0
    answers: int = 0
    portions: int = 0
    cm: int = 0
    rations: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    """by reason"""
    forgotten: int = 0
    waits_ms: list[int] = field(default_factory=list)
    """publish to command, one for each answer"""
    unacknowledged: int = 0
    """reports without an acknowledgement"""
    done: bool = False

    def count(self, closed: RequestClosed) -> None:
        """Count the result of a request."""
        self.cm += closed.cm
        if closed.answer is None:
            self.rations += 1
            return
        self.answers += 1
        self.waits_ms.append(closed.waited_ms)
        match closed.answer:
            case Dispense():
                self.portions += 1
            case Refuse():
                self.refusals[closed.answer.reason] = self.refusals.get(closed.answer.reason, 0) + 1
            case _:
                self.forgotten += 1


class Fleet:
    """Dispensers of several sites, each with a connection and a journal of its own."""

    def __init__(
        self,
        settings: Settings,
        chains: Mapping[str, SiteKeyChain],
        devices: Mapping[str, Sequence[str]],
        journal: Callable[[Identity], Journal],
    ) -> None:
        """`chains`: the site key chain of each site, for SYNTHETIC; `devices`: the device names of each site."""
        self.tally = Tally()
        self._chains = chains
        identities = [
            Identity(site=site, device=device, model=SYNTHETIC.id, namespace=settings.namespace)
            for site, names in devices.items()
            for device in names
        ]
        self._dispensers = [_simulated(settings, i, journal(i), chains[i.site]) for i in identities]
        self._queues = {id(dispenser): asyncio.Lock() for dispenser in self._dispensers}

    async def serve(self, visits: Visits, on_result: Callable[[Tally], None] = lambda _: None) -> Tally:
        """Connect all dispensers, run the visits, wait for the acknowledgement of all reports.

        `on_result` is called with the tally after each request.
        """
        async with asyncio.TaskGroup() as tasks:
            runs = [tasks.create_task(dispenser.run(), name=str(dispenser.identity)) for dispenser in self._dispensers]
            await asyncio.gather(*(dispenser.controlled.wait() for dispenser in self._dispensers))
            await self._run_visits(visits, on_result)
            await self._settle()
            for run in runs:
                run.cancel()
        self.tally.done = True
        return self.tally

    async def _run_visits(self, visits: Visits, on_result: Callable[[Tally], None]) -> None:
        rng = np.random.default_rng(visits.seed)
        arrivals = np.cumsum(rng.exponential(visits.seconds / visits.visitors, visits.visitors))
        started = time.monotonic()
        async with asyncio.TaskGroup() as visitors:
            for arrival, child in zip(arrivals, rng.spawn(visits.visitors), strict=True):
                await asyncio.sleep(max(0.0, started + arrival - time.monotonic()))
                visitors.create_task(self._visit(visits, child, on_result))

    async def _visit(self, visits: Visits, rng: np.random.Generator, on_result: Callable[[Tally], None]) -> None:
        """One visitor at one dispenser, in its queue, with one or two requests."""
        dispenser = self._dispensers[rng.integers(len(self._dispensers))]
        face = SyntheticFace(rng)
        async with self._queues[id(dispenser)]:
            for _ in range(1 + int(rng.random() < visits.again)):
                request = self._request(visits, rng, dispenser, face)
                self.tally.requests += 1
                if closed := await dispenser.ask(request):
                    self.tally.count(closed)
                on_result(self.tally)

    def _request(self, visits: Visits, rng: np.random.Generator, dispenser: Dispenser, face: SyntheticFace) -> Request:
        """Choose the request; a visitor presses the button while the camera is blocked."""
        chance = rng.random()
        if visits.button <= chance < visits.button + visits.staff:
            return StaffPressed(id=new_id())
        if chance < visits.button or dispenser.camera_blocked:
            return ButtonPressed(id=new_id())
        protector = self._chains[dispenser.identity.site].protector
        kind = ForgetRequested if chance < visits.button + visits.staff + visits.forget else FaceSeen
        template = protector.protect(face.capture())
        return kind(id=new_id(), model=SYNTHETIC.id, epoch=protector.epoch, template=template)

    async def _settle(self) -> None:
        """Report the stock, then wait, with a timeout, until each report is acknowledged."""
        for dispenser in self._dispensers:
            dispenser.measure(Stock(number=1, cm=_ROLL_CM))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_TIMEOUT_S):
                while self._pending_reports():
                    await asyncio.sleep(0.1)
        self.tally.unacknowledged = self._pending_reports()

    def _pending_reports(self) -> int:
        return sum(len(dispenser.state.memory.reports) for dispenser in self._dispensers)


def _simulated(settings: Settings, identity: Identity, journal: Journal, chain: SiteKeyChain) -> Dispenser:
    motor = SimulatedMotor(roll_cm=_ROLL_CM, cm_per_s=_CM_PER_S)
    security = read_security(settings, identity.site, identity.device)
    return Dispenser(identity, motor, settings.mqtt, security=security, journal=journal, follower=chain)
