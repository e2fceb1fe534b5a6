"""`fairroll demo`: the main job on real parts. A real face at one dispenser, four hundred visitors at forty others."""

import asyncio
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from statistics import quantiles

import msgspec
from msgspec import Struct, field
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from devices.camera import PhotoFolder, photos
from devices.eye import CameraEye
from devices.fleet import Tally
from devices.motor import SimulatedMotor
from devices.moves import Closed
from devices.panel import Panel, Press, Shown, said
from devices.session import Dispenser, Identity
from infra.influxql import query
from infra.local.ports import Ports
from infra.local.stack import LocalStack
from models.errors import ConfigError
from models.face.vision import open_vision
from models.keys import parse_key, site_key_name
from models.policy import Sites
from models.settings import Settings
from stream_processors.sites import read_sites

__all__ = ["demonstrate"]

_SITE, _DEVICE, _MODEL = "park", "gate", "dlib-resnet/1"
_SIMULATED_SITES, _DISPENSERS, _VISITORS, _SECONDS = 4, 10, 400, 45
_MOST_PEOPLE = 12
_METRICS_S = 10.0
_SITES_TOML = """\
[sites.{site}]
mode = "face"
devices = ["{device}"]
"""
_SIMULATED_TOML = """
[sites.simulated-{number}]
mode = "face"
simulated = true
devices = [{devices}]
"""


class _Scene(Struct, kw_only=True):
    """What the screen shows."""

    lines: list[tuple[str, str, str]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    closed: list[Closed] = field(default_factory=list)


def demonstrate(folder: Path, console: Console, own_photos: Path | None) -> None:
    """Start everything, show the main job, print what came of it. Raises ConfigError for photos that are none."""
    people = list(_people(own_photos))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sites_file = folder / "sites.toml"
    sites_file.write_text(_sites())
    asyncio.run(_demonstrate(folder, sites_file, people, console))
    _point_on(console, folder)


async def _demonstrate(folder: Path, sites_file: Path, people: list[tuple[str, Path]], console: Console) -> None:
    console.print(
        "Starting mosquitto, Kafka, InfluxDB and the pipeline, on free ports of this machine.", soft_wrap=True
    )
    async with LocalStack(folder, ports=Ports.free(), environ={"FAIRROLL_SITES": str(sites_file)}) as stack:
        sites = read_sites(sites_file)
        scene = await _play(stack, people, console)
        console.print()
        console.print(await _summary(stack.settings, sites, scene))


async def _play(stack: LocalStack, people: list[tuple[str, Path]], console: Console) -> _Scene:
    scene = _Scene()
    with Live(console=console, refresh_per_second=4, get_renderable=lambda: _screen(scene)):
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(stack.watch(), name="watch")
            fleet = tasks.create_task(_fleet(stack.settings, scene), name="fleet")
            await _at_the_gate(stack.settings, people, scene)
            await fleet
            watch.cancel()
    return scene


async def _at_the_gate(settings: Settings, people: list[tuple[str, Path]], scene: _Scene) -> None:
    """Each person asks by face, asks again, presses the button; at the end the staff helps somebody."""
    dispenser = Dispenser(Identity(site=_SITE, device=_DEVICE, model=_MODEL), SimulatedMotor(), settings.mqtt)
    session = asyncio.create_task(dispenser.run(), name="gate")
    key_file = settings.secrets / site_key_name(_SITE)
    key = parse_key(key_file.read_text(), str(key_file))
    try:
        vision = await asyncio.to_thread(open_vision, _MODEL, key, 0, settings.data / "weights")
        await dispenser.controlled.wait()
        for name, path in people:
            panel = Panel(dispenser, CameraEye(PhotoFolder(path), vision))
            for press in ("face", "face", "button"):
                await _press(panel, name, press, scene)
        await _press(Panel(dispenser), "staff", "staff", scene)
    finally:
        session.cancel()
        await asyncio.gather(session, return_exceptions=True)


async def _press(panel: Panel, who: str, press: Press, scene: _Scene) -> None:
    shown: Shown = await panel.press(press)
    scene.lines.append((who, press, said(shown)))
    if isinstance(shown, Closed):
        scene.closed.append(shown)


async def _fleet(settings: Settings, scene: _Scene) -> None:
    """The fleet is a process of its own, as it would be a host of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "devices.cli", "fleet", "--visitors", str(_VISITORS), "--seconds", str(_SECONDS)),
        env=settings.to_environ(),
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    assert process.stdout, "it is a pipe"  # noqa: S101 - for the type checker
    try:
        async for line in process.stdout:
            scene.tally = msgspec.json.decode(line, type=Tally)
        if await process.wait():
            raise ConfigError("the fleet ended with an error; it is told above")
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def _screen(scene: _Scene) -> RenderableType:
    gate = Table("person", "presses", "gets", title=f"one camera dispenser: {_SITE}/{_DEVICE}", title_justify="left")
    for line in scene.lines[-9:]:
        gate.add_row(*line)
    tally = scene.tally
    fleet = Table("asked", "answered", "portions", "refused", "local rations", "p50 ms", title_justify="left")
    fleet.title = f"{_SIMULATED_SITES * _DISPENSERS} simulated dispensers at {_SIMULATED_SITES} sites"
    counts = (tally.requests, tally.answers, tally.portions, sum(tally.refusals.values()), tally.rations)
    fleet.add_row(*(str(count) for count in counts), f"{_percentile(tally.waits_ms, 50):.0f}")
    return Group(gate, fleet)


async def _summary(settings: Settings, sites: Sites, scene: _Scene) -> Table:
    """What the dispensers tell, beside what the pipeline wrote into InfluxDB."""
    tally, gate = scene.tally, Tally()
    for closed in scene.closed:
        gate.count(closed)
    asked, answered = tally.requests + len(scene.closed), tally.answers + gate.answers
    waits = tally.waits_ms + gate.waits_ms
    refusals = (
        ", ".join(f"{n} {reason}" for reason, n in (Counter(tally.refusals) + Counter(gate.refusals)).items()) or "none"
    )
    decided, templates, points = await _metrics(settings, sites, answered)
    summary = Table("", "", title="what came of it", title_justify="left", show_header=False)
    for name, value in (
        ("requests", f"{asked}"),
        ("answers", f"{answered} ({'equal' if asked == answered else 'NOT EQUAL'}), {decided} decided in InfluxDB"),
        ("portions", f"{tally.portions + gate.portions}, {tally.cm + gate.cm} cm"),
        ("refusals", refusals),
        ("forgotten on request", f"{tally.forgotten + gate.forgotten}"),
        ("local rations", f"{tally.rations + gate.rations}"),
        ("publish to command", f"p50 {_percentile(waits, 50):.0f} ms, p99 {_percentile(waits, 99):.0f} ms"),
        ("templates alive", f"{templates}, each for {sites.longest_window_s} s at most"),
        ("points in InfluxDB", f"{points}"),
    ):
        summary.add_row(name, value)
    return summary


async def _metrics(settings: Settings, sites: Sites, answered: int) -> tuple[int, int, int]:
    """Decisions, live templates and all points, once the sink and a tick have caught up, or after a bounded wait."""
    deadline = asyncio.get_running_loop().time() + _METRICS_S
    while True:
        decided = await _count(settings, "SELECT count(decided_ms) AS n FROM requests WHERE repeated = false")
        if decided >= answered or asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(0.5)
    alive = await query(settings, "SELECT last(templates) AS n FROM sites GROUP BY site")
    templates = sum(row["n"] for row in alive if row["site"] in sites.sites)
    counted = [("requests", "decided_ms"), ("reports", "cm"), ("sites", "templates"), ("devices", "online")]
    points = [await _count(settings, f"SELECT count({f}) AS n FROM {m}") for m, f in counted]  # noqa: S608 - ours
    return decided, templates, sum(points)


async def _count(settings: Settings, statement: str) -> int:
    return sum(row["n"] for row in await query(settings, statement))


def _percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else sum(values)


def _people(own: Path | None) -> Iterator[tuple[str, Path]]:
    """Name and photos of each person: a folder each, or single files; the astronaut where nobody brought any."""
    if own is None:
        yield "an astronaut", Path(str(files("skimage.data") / "astronaut.png"))
        return
    folders = sorted(path for path in own.iterdir() if path.is_dir()) if own.is_dir() else []
    for path in (folders or photos(own))[:_MOST_PEOPLE]:
        photos(path)
        yield path.stem, path


def _sites() -> str:
    simulated = ", ".join(f'"d{number:02}"' for number in range(1, _DISPENSERS + 1))
    text = _SITES_TOML.format(site=_SITE, device=_DEVICE)
    for number in range(1, _SIMULATED_SITES + 1):
        text += _SIMULATED_TOML.format(number=number, devices=simulated)
    return text


def _point_on(console: Console, folder: Path) -> None:
    """Where to look next."""
    console.print(f"\nEverything is stopped. The logs are in {folder / 'logs'}. Next:", soft_wrap=True)
    for what, why in (
        ("make up", "the same pipeline, to stay"),
        ("make demo PHOTOS=dir", "your own faces: a folder a person, or single photos"),
        ("docs/architecture.md", "how one request travels"),
        ("docs/contract.md", "how to build a dispenser"),
    ):
        console.print(f"  {what:<22}{why}", soft_wrap=True)
