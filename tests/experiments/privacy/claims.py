"""What fairroll claims of faces, each tested on the running system; the evidence records the observations."""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from typing import NamedTuple

from devices.machine.actions import RequestClosed
from devices.session.session import Dispenser
from infra.hold.hold import submit
from infra.kafka_records import read_records
from models.contract.messages import Forgotten
from models.ledger.codec import decode_outcome
from models.ledger.events import SiteHeld
from models.ledger.outcomes import SiteCounted
from tests.e2e.planting import audited, found, plant
from tests.experiments.privacy.copies import Copy, alive, copy_of, on_disk, readable
from tests.experiments.privacy.stage import WINDOW_S, Eye, Stage
from tests.support.processes import beside, environ_of, pressed

__all__ = ["Claim", "claims"]

_PEOPLE = 6
_BOUND_S = 10.0
"""Beyond the window until state and changelog have let go: two ticks."""
_MINUTE_S = 60.0
"""Beyond the window until the key is gone: a key is a minute's."""
_NO_VISION = "import sys\nfor name in {names}: sys.modules[name] = None\nfrom devices.cli import main\nmain()\n"
_VISION = ("PIL", "dlib", "face_recognition_models", "facenet_pytorch", "torch", "torchvision")


class Claim(NamedTuple):
    """One row of the table."""

    claim: str
    evidence: str
    holds: bool


async def claims(stage: Stage, *, planting: bool = True) -> AsyncIterator[Claim]:
    """Try one after another; takes a window, a minute and a bit. `planting` leaves violations behind, for the audit."""
    served = await stage.come("park", "gate", _PEOPLE)
    copies = [copy for copy in await copy_of(stage.settings) if copy.site == "park"]
    yield await _sealed_at_rest(stage, copies, served)
    yield await _forgotten_at_once(stage)
    async for claim in _held(stage):
        yield claim
    yield await _without_vision(stage)
    yield await _audited(stage)
    async for claim in _forgotten_on_time(stage, copies):
        yield claim
    if planting:
        yield await _planted(stage)


async def _sealed_at_rest(stage: Stage, copies: list[Copy], served: int) -> Claim:
    opened = await readable(stage.settings, copies)
    topics = {copy.topic for copy in copies}
    return Claim(
        "templates are sealed in Kafka and readable within their window only to who has the keys",
        f"{served} people served by face; {len(copies)} sealed templates in {len(topics)} topics, {opened} open",
        served == _PEOPLE and len(topics) == 2 and opened == len(copies),
    )


async def _forgotten_at_once(stage: Stage) -> Claim:
    async with stage.dispenser("park", "gate") as (dispenser, chain):
        eye = Eye(chain, stage.person())
        await stage.press(dispenser, eye, "face")
        receipt = await stage.press(dispenser, eye, "forget")
        again = await stage.press(dispenser, eye, "forget")
    erased = [
        s.answer.erased for s in (receipt, again) if isinstance(s, RequestClosed) and isinstance(s.answer, Forgotten)
    ]
    return Claim(
        "a request to be forgotten is obeyed immediately, with a receipt on the dispenser",
        f"the display showed {erased[0] if erased else '?'} erased, and asked again {erased[-1] if erased else '?'}",
        erased == [1, 0],
    )


async def _held(stage: Stage) -> AsyncIterator[Claim]:
    served = await stage.come("lake", "boat", 2)
    before = [copy for copy in await copy_of(stage.settings) if copy.site == "lake"]
    async with stage.dispenser("lake", "pier") as (pier, chain):
        noticing = asyncio.create_task(_until_held(pier))
        [settled] = await submit(
            stage.settings, [(SiteHeld(site="lake", why="privacy proof", by="proof"), ("pier", "boat"))]
        )
        reached = await noticing - (settled.receipt.at / 1000 if settled.receipt else 0)
        eye = Eye(chain, stage.person())
        by_button = await stage.press(pier, eye, "button")
        refused = await stage.press(pier, eye, "face")
    receipt = settled.receipt
    yield Claim(
        "a hold reaches every connected dispenser, and buttons go on",
        f"it worked so {reached:.2f} s after Kafka had the hold; face: {refused}; button: "
        f"{by_button.cm if isinstance(by_button, RequestClosed) else by_button} cm; "
        f"its camera captured {eye.captures} times",
        "pier" in settled.confirmed
        and refused == "held"
        and eye.captures == 0
        and isinstance(by_button, RequestClosed),
    )
    yield Claim(
        "a hold leaves a receipt of what is gone, and destroys the keys",
        f"{receipt}; keys gone {settled.keys_s or -1:.1f} s after the append;"
        f" {await readable(stage.settings, before)} of {len(before)} copies open",
        receipt is not None
        and getattr(receipt, "templates", 0) == served
        and settled.keys_s is not None
        and await readable(stage.settings, before) == 0 < len(before),
    )
    async with stage.dispenser("lake", "boat") as (boat, chain):
        eye = Eye(chain, stage.person())
        shown = await stage.press(boat, eye, "face")
    yield Claim(
        "a dispenser that was offline at the hold captures no face when it is back",
        f"its display: {shown}; its camera looked {eye.captures} times",
        (shown, eye.captures) == ("held", 0),
    )


async def _until_held(dispenser: Dispenser) -> float:
    """When it works as a held site's, seconds since 1970."""
    while dispenser.mode != "held":
        dispenser.permission_changed.clear()
        await asyncio.wait_for(dispenser.permission_changed.wait(), 30)
    return time.time()


async def _without_vision(stage: Stage) -> Claim:
    """In a process of its own, where every vision package fails to import."""
    command = (sys.executable, "-c", _NO_VISION.format(names=_VISION), "run", "hall", "desk")
    async with beside(*command, env=environ_of(stage.settings), stdin=PIPE) as process:
        lines = [await pressed(process, press) for press in ("button", "face", "staff")]
        await process.communicate(b"")
    paper = sum(line.startswith("60 cm, after") for line in lines)
    return Claim(
        "a site works fully by buttons, without any package that sees",
        f"dispenser without {', '.join(_VISION)}: " + "; ".join(lines),
        paper == 2 and process.returncode == 0,
    )


async def _audited(stage: Stage) -> Claim:
    code, output, _ = await audited(stage.settings)
    clean = sum(place["verdict"] == "clean" for place in output["places"])
    return Claim(
        "nothing readable lies where none may be",
        f"fairroll audit: exit code {code}, {clean} of {len(output['places'])} places clean,"
        f" {len(output['findings'])} findings",
        code == 0 and clean == len(output["places"]),
    )


async def _planted(stage: Stage) -> Claim:
    """The last one: what is planted stays."""
    for part in ("ingress", "decider", "egress", "sink"):  # so that no service consumes what is planted
        await stage.stack.stop(part)
    recordings = stage.folder / "recordings"
    expected = await plant(stage.settings, recordings)
    code, output, _ = await audited(stage.settings, "--files", str(recordings))
    seen = found(output)
    places = {place: kinds for place, kinds in expected.items() if kinds - {"sealed", "overdue"}}
    missed = [place for place, kinds in places.items() if not kinds & seen.get(place, set())]
    return Claim(
        "the audit finds what is planted, in each place",
        f"exit code {code}; found in {len(places) - len(missed)} of {len(places)} places"
        + (f", not in {', '.join(missed)}" if missed else ""),
        code == 1 and not missed,
    )


async def _forgotten_on_time(stage: Stage, copies: list[Copy]) -> AsyncIterator[Claim]:
    """Stop the visitors."""
    due = stage.last_grant + WINDOW_S
    while await alive(stage.settings, "park") and time.monotonic() < due + _BOUND_S:
        await asyncio.sleep(0.5)
    rows, late = await alive(stage.settings, "park"), time.monotonic() - due
    counted = await _last_count(stage)
    yield Claim(
        f"an idle site has forgotten everybody within the window and {_BOUND_S:.0f} s",
        f"{rows} rows of visitors without a tombstone, {max(late, 0):.1f} s after the last window; the decider counts"
        f" {counted.templates if counted else '?'} templates",
        rows == 0 and counted is not None and counted.templates == 0,
    )
    while (opened := await readable(stage.settings, copies)) and time.monotonic() < due + _MINUTE_S + _BOUND_S:
        await asyncio.sleep(1)
    yield Claim(
        "copies of topic and changelog, taken within the window, are noise a minute after it",
        f"{opened} of {len(copies)} open with every key that the system still holds, {time.monotonic() - due:.0f} s"
        f" after the window; {on_disk(stage.folder / 'data' / 'kafka', copies)} still lie in Kafka's files, as noise",
        opened == 0 < len(copies),
    )


async def _last_count(stage: Stage) -> SiteCounted | None:
    records = await read_records(stage.settings, stage.settings.topics.decisions, 30.0)
    outcomes = [decode_outcome(record.value or b"") for record in records]
    counted = [outcome for outcome in outcomes if isinstance(outcome, SiteCounted) and outcome.site == "park"]
    return counted[-1] if counted else None
