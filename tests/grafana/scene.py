"""A seeded run through the real pipeline that leaves something to see in every panel."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from devices.journal.port import InMemoryJournal
from devices.session.site_key import open_site_key_chain, site_key_file
from devices.simulation.fleet import Fleet, Visits
from devices.simulation.synthetic_faces import SYNTHETIC
from infra.local.ports import Ports
from infra.local.stack import LocalStack
from infra.sites.application import apply_without_removals
from models.contract.codec import encode
from models.ledger.events import SiteEvent, SiteHeld, SiteResumed
from models.ledger.rules.policy import parse_sites
from models.settings import Settings
from stream_processors.runtime.kafka import open_producer
from tests.e2e.pipeline_client import MosquittoDispenser, listen
from tests.e2e.planting import JPEG, audited
from tests.grafana.shadow import Pair, write_shadow

__all__ = ["PERIOD_S", "K", "Scene", "play"]

K, PERIOD_S = 3, 10
SITES = """\
[sites.meadow]
devices = ["north", "south"]
mode = "face"
simulated = true
policy = { limit_cm = 60 }

[sites.hall]
devices = ["gate", "door"]
mode = "button"
policy = { button_budget_cm = 120 }
"""
_VISITS = Visits(visitors=150, seconds=22, again=0.6, button=0.25, staff=0.12, forget=0.15, seed=7)


class Scene(Struct, frozen=True, kw_only=True):
    """What was played, and when."""

    settings: Settings
    since_ms: int
    until_ms: int
    shadow: list[Pair]
    """what was decided, and what would have been under twice the limit, in periods that were over"""
    findings: int
    """of the audit"""


@asynccontextmanager
async def play(folder: Path) -> AsyncIterator[Scene]:
    """Brokers and processes run until the end, so that metrics can be asked."""
    sites = folder / "sites.toml"
    sites.write_text(SITES)
    environ = {"FAIRROLL_SITES": str(sites), "FAIRROLL_METRICS_PERIOD_S": str(PERIOD_S), "FAIRROLL_METRICS_K": str(K)}
    async with LocalStack(folder, ports=Ports.free(), environ=environ) as stack:
        since = int(1000 * time.time()) - 60_000
        await asyncio.gather(_people(stack.settings), _attendants(stack))
        shadow = await write_shadow(stack.settings, parse_sites(SITES, "a test"), limit_cm=120)
        await _operators(stack.settings)
        findings = await _audit(stack.settings, folder / "recordings")
        await asyncio.sleep(2 * PERIOD_S + 6)  # the last period is closed by a tick and a sample
        until = int(1000 * time.time())
        yield Scene(settings=stack.settings, since_ms=since, until_ms=until, shadow=shadow, findings=findings)
        for process in stack:
            process.check()


async def _audit(settings: Settings, folder: Path) -> int:
    """An audit, with a picture among the recordings; how much it found."""
    _plant_picture(folder)
    code, received, _ = await audited(settings, "--publish", "--files", str(folder))
    assert code == 1
    return len(received["findings"])


def _plant_picture(folder: Path) -> None:
    folder.mkdir()
    (folder / "frame").write_bytes(JPEG)


async def _people(settings: Settings) -> None:
    """A crowd at the meadow: faces, buttons, staff, wishes to be forgotten, refusals."""
    chains = {"meadow": open_site_key_chain(site_key_file(settings, "meadow"), SYNTHETIC)}
    fleet = Fleet(settings, chains, {"meadow": ["north", "south"]}, lambda _: InMemoryJournal())
    tally = await fleet.serve(_VISITS)
    assert tally.unacknowledged == 0


async def _attendants(stack: LocalStack) -> None:
    """The hall: a budget that ends, a repetition, a jam, an empty roll, a new one, a dispenser that goes, rubbish."""
    async with listen(stack, "hall", "gate") as gate:
        await gate.send("state", {"online": True, "mode": "button", "firmware": "1.2.0"}, "-r")
        for number in range(7):
            answer = await gate.ask({"kind": "button", "id": f"hall-gate-request-{number}"})
            if answer["kind"] == "dispense":
                fault = {"fault": "jam"} if number else {}
                await _report(gate, number + 1, kind="dispensed", request=answer["request"], cm=30, **fault)
        await gate.ask({"kind": "button", "id": "hall-gate-request-6"})
        await gate.ask({"kind": "staff", "id": "hall-gate-staff-once"})  # a cell of one
        await _report(gate, 10, kind="local", request=uuid.uuid4().hex, cm=25, fault="empty")
        await _report(gate, 11, kind="stock", cm=0)
        await asyncio.sleep(1)
        await _report(gate, 12, kind="stock", cm=9_000)
        await _report(gate, 13, kind="battery", percent=81)
        for _ in range(3):
            await gate.send("request", b"rubbish")
        await gate.send("state", {"online": False, "mode": "button", "firmware": "1.2.0"}, "-r")


async def _report(talk: MosquittoDispenser, number: int, **report: object) -> None:
    """Report, and wait for the acknowledgement."""
    await talk.send("report", {"number": number, **report})
    assert (await talk.receive())["kind"] == "noted"


async def _operators(settings: Settings) -> None:
    """A new policy, a hold, a resume."""
    again = parse_sites(SITES.replace("limit_cm = 60", "limit_cm = 90"), "a test")
    await apply_without_removals(settings, again, is_decided=True)
    events: list[SiteEvent] = [
        SiteHeld(site="meadow", why="a test of holds", by="an operator"),
        SiteResumed(site="meadow"),
    ]
    async with open_producer(settings) as producer:
        for event in events:
            await asyncio.sleep(6)  # a tick sees each state
            await producer.send_and_wait(settings.topics.events, encode(event), key=b"meadow")
