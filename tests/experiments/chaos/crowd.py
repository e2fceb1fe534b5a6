"""A crowd: some twenty dispensers and the people before them, a process that can be killed.

    python -m tests.experiments.chaos.crowd PLAN    (a Plan as JSON; the broker and the secrets are FAIRROLL_ variables)

At a restart it reads its log: visitors without an answer ask again. After SIGTERM no more visitors come,
waits, not for ever, until every report is noted, and ends.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import structlog
from msgspec import Struct

from devices.hardware.motor import SimulatedMotor
from devices.journal.sqlite import DiskJournal
from devices.machine import actions
from devices.session.boot_id import boot_id
from devices.session.security import read_security
from devices.session.session import Dispenser, Identity, new_id
from devices.session.site_key import SiteKeyChain, open_site_key_chain, site_key_file
from devices.simulation.synthetic_faces import SYNTHETIC, SyntheticFace
from models.contract.messages import ButtonPressed, Dispense, FaceSeen, Refuse, Request, StaffPressed
from models.settings import Settings
from tests.experiments.chaos.people import By, visits
from tests.experiments.chaos.visitor_log import (
    AnswerShown,
    Entry,
    MotorStarted,
    MotorStopped,
    PowerOff,
    PowerOn,
    RequestSent,
    VisitorLog,
    read_visitor_log,
)

__all__ = ["DEVICES", "SITES_A_CROWD", "Plan", "sites_of", "standing"]

SITES_A_CROWD = 2
DEVICES = tuple(f"d{number:02}" for number in range(1, 11))
"""of each site"""
_CM_PER_S, _JAMS, _ROLL_CM = 3_000.0, 0.02, 10_000_000
_LONGEST_LINE = 2
"""A visitor who finds more people waiting leaves, so that the load after an outage is the same again."""
_CONNECT_S, _SETTLE_S = 5.0, 25.0


class Plan(Struct, frozen=True, kw_only=True):
    """What one crowd does."""

    number: int
    """from 1: it stands at sites of its own"""
    rate: float
    """people a second"""
    seed: tuple[int, ...]
    visitor_log: str
    patience_s: float = 3.0


class Person(Struct, frozen=True):
    """A waiting visitor."""

    number: int
    by: By
    instead_of: str | None = None


def sites_of(crowd: int) -> list[str]:
    """The sites of a crowd."""
    first = (crowd - 1) * SITES_A_CROWD + 1
    return [f"site-{number}" for number in range(first, first + SITES_A_CROWD)]


def standing(past: Iterable[Entry]) -> list[RequestSent]:
    """Return from a log the visitors without an answer."""
    waiting: dict[str, RequestSent] = {}
    for entry in past:
        match entry:
            case RequestSent():
                waiting[entry.request] = entry
                waiting.pop(entry.instead_of or "", None)
            case AnswerShown():
                waiting.pop(entry.request, None)
            case _:
                pass
    return list(waiting.values())


class Place:
    """A dispenser, the line before it, and its motor, which the visitor_log follows."""

    def __init__(
        self, identity: Identity, plan: Plan, settings: Settings, visitor_log: VisitorLog, chain: SiteKeyChain
    ) -> None:
        self.identity = identity
        journal = DiskJournal(settings.data / "dispensers" / f"{identity}.db", boot_id())
        self.dispenser = Dispenser(
            identity,
            self,
            settings.mqtt,
            security=read_security(settings, identity.site, identity.device),
            journal=journal,
            follower=chain,
            patience_s=plan.patience_s,
        )
        self.line: asyncio.Queue[Person] = asyncio.Queue(_LONGEST_LINE)
        self.is_idle = asyncio.Event()
        self.is_idle.set()
        self._seed = plan.seed
        self._visitor_log = visitor_log
        self._chain = chain
        self._motor = SimulatedMotor(roll_cm=_ROLL_CM, cm_per_s=_CM_PER_S, jam_rate=_JAMS, seed=hash(plan.seed))

    async def dispense(self, cm: int) -> actions.MotorStopped:
        """The motor's port: run, and log the request and what came out."""
        run = self.dispenser.state.memory.run
        request = run.request if run else ""
        commanded = bool(run and run.answer)
        self._visitor_log.write(MotorStarted(at=time.monotonic(), request=request, cm=cm, commanded=commanded))
        ran = await self._motor.dispense(cm)
        self._visitor_log.write(MotorStopped(at=time.monotonic(), request=request, cm=ran.cm))
        return ran

    async def serve(self) -> None:
        """One after another, until cancelled."""
        while True:
            person = await self.line.get()
            self.is_idle.clear()
            await self._ask(person)
            if self.line.empty():
                self.is_idle.set()

    async def _ask(self, person: Person) -> None:
        while not self.dispenser.state.is_free:
            await asyncio.sleep(0.02)
        request = self._request(person)
        self._visitor_log.write(self._asked(person, request))
        closed = await self.dispenser.ask(request)
        shown = AnswerShown(
            at=time.monotonic(),
            request=request.id,
            what=_what(closed),
            waited_s=closed.waited_ms / 1000 if closed else 0.0,
        )
        self._visitor_log.write(shown)

    def _request(self, person: Person) -> Request:
        """Without a control on this connection no camera looks: the person presses the button."""
        match person.by:
            case "face" if self.dispenser.mode == "face":
                look = SyntheticFace(np.random.default_rng((*self._seed, person.number))).capture()
                made = self._chain.protector
                return FaceSeen(id=new_id(), model=SYNTHETIC.id, epoch=made.epoch, template=made.protect(look))
            case "staff":
                return StaffPressed(id=new_id())
            case _:
                return ButtonPressed(id=new_id())

    def _asked(self, person: Person, request: Request) -> RequestSent:
        return RequestSent(
            at=time.monotonic(),
            request=request.id,
            site=self.identity.site,
            device=self.identity.device,
            person=person.number,
            by=person.by,
            instead_of=person.instead_of,
        )


class Crowd:
    """All places of one process."""

    def __init__(self, plan: Plan, settings: Settings, visitor_log: VisitorLog) -> None:
        names = [(site, device) for site in sites_of(plan.number) for device in DEVICES]
        identities = [Identity(site=site, device=device, model=SYNTHETIC.id) for site, device in names]
        chains = {site: open_site_key_chain(site_key_file(settings, site), SYNTHETIC) for site in sites_of(plan.number)}
        self.places = [Place(identity, plan, settings, visitor_log, chains[identity.site]) for identity in identities]
        self.went = 0
        self._plan = plan

    async def until_connected(self) -> None:
        """Or for some seconds: without a broker people are served too."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CONNECT_S):
                await asyncio.gather(*(place.dispenser.controlled.wait() for place in self.places))

    def return_to(self, left: list[RequestSent]) -> None:
        """A visitor who stood there at the power cut is first in the line."""
        places = {place.identity: place for place in self.places}
        for asked in left:
            identity = Identity(site=asked.site, device=asked.device, model=SYNTHETIC.id)
            places[identity].line.put_nowait(Person(asked.person, asked.by, asked.request))

    async def let_come(self, life: int) -> None:
        """Let people come until cancelled."""
        sites = [place.identity.site for place in self.places]
        moment = time.monotonic()
        for visit in visits((*self._plan.seed, self._plan.number), life, self._plan.rate, sites):
            moment += visit.after_s
            await asyncio.sleep(max(0.0, moment - time.monotonic()))
            try:
                self.places[visit.place].line.put_nowait(Person(visit.person, visit.by))
            except asyncio.QueueFull:
                self.went += 1

    async def settle(self) -> int:
        """Serve who is there; wait, not for ever, until every report is noted. How many are not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                while self._unacknowledged() or not all(
                    place.line.empty() and place.is_idle.is_set() for place in self.places
                ):
                    await asyncio.sleep(0.05)
        return self._unacknowledged()

    def _unacknowledged(self) -> int:
        return sum(len(place.dispenser.state.memory.reports) for place in self.places)


async def _run(plan: Plan, settings: Settings) -> None:
    past = list(read_visitor_log(Path(plan.visitor_log)))
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    with VisitorLog(Path(plan.visitor_log)) as visitor_log:
        visitor_log.write(PowerOn(at=time.monotonic()))
        crowd = Crowd(plan, settings, visitor_log)
        crowd.return_to(standing(past))
        tasks = [asyncio.create_task(place.dispenser.run()) for place in crowd.places]
        await crowd.until_connected()
        _say_ready()
        tasks += [asyncio.create_task(place.serve()) for place in crowd.places]
        coming = asyncio.create_task(crowd.let_come(sum(isinstance(entry, PowerOn) for entry in past)))
        await ended.wait()
        coming.cancel()
        unacknowledged = await crowd.settle()
        visitor_log.write(PowerOff(at=time.monotonic(), unacknowledged=unacknowledged, went=crowd.went))
        for task in tasks:
            task.cancel()
        await asyncio.gather(coming, *tasks, return_exceptions=True)


def _what(closed: actions.RequestClosed | None) -> Literal["dispense", "refuse", "ration", "nothing"]:
    match closed:
        case None:
            return "nothing"
        case actions.RequestClosed(answer=Dispense()):
            return "dispense"
        case actions.RequestClosed(answer=Refuse()):
            return "refuse"
        case _:
            return "ration"


def _say_ready() -> None:
    sys.stdout.write("ready: crowd\n")
    sys.stdout.flush()


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    plan = msgspec.json.decode(sys.argv[1], type=Plan)
    asyncio.run(_run(plan, Settings.from_environ(os.environ)))


if __name__ == "__main__":
    main()
