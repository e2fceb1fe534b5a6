"""`fairroll demo`: a real face at one dispenser, four hundred simulated visitors at forty others, on real brokers."""

import asyncio
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import msgspec
from rich.console import Console
from rich.live import Live

from devices.hardware.camera import Camera, PhotoFolder, photos
from devices.hardware.motor import SimulatedMotor
from devices.hardware.panel import Panel, Press, Shown, display_text
from devices.machine.actions import RequestClosed
from devices.session.security import read_security
from devices.session.session import Dispenser, Identity
from devices.session.site_key import open_site_key_chain, site_key_file
from devices.simulation.fleet import Tally, Visits
from devices.vision.capture import ThreadCapture
from devices.vision.template_capture import TemplateCapture
from infra.demo.repeated_capture import RepeatedCapture
from infra.demo.screen import Scene, screen, summary
from infra.demo.varied_camera import VariedCamera
from infra.local.ports import Ports
from infra.local.stack import LocalStack
from infra.preview.page import query_boards, write_page
from models.contract.face_models import face_model
from models.errors import ConfigError
from models.face.vision import open_vision
from models.process.site_file import read_sites
from models.settings import Settings

__all__ = ["demonstrate"]

_SITE, _DEVICE, _MODEL = "park", "gate", "dlib-resnet/1"
_SIMULATED, _SIMULATED_SITES, _DISPENSERS = "simulated-{number}", 4, 10
_MOST_PEOPLE = 12
_PERIOD_S = 5
"""Metrics period, short so that the demo need not wait for a minute to close."""
_LEFT_BEHIND = ("ca", "config", "data", "logs", "secrets")
"""Folders of an earlier demo, which are deleted, since its visitors would be remembered."""
_SITES_TOML = """\
[sites.{site}]
mode = "face"
devices = ["{device}"]

[sites.{site}.policy]
wrongful_per_million = 100_000  # dlib's model, which the demo uses, would recognise few at the default of 100
"""
_SIMULATED_TOML = """
[sites.{site}]
mode = "face"
simulated = true
devices = [{devices}]
"""


def demonstrate(folder: Path, own_photos: Path | None, *, visitors: int, seconds: float, is_secure: bool) -> None:
    """Start everything, run the demo, print a summary. Raises ConfigError for invalid photos."""
    people = list(_people(own_photos))
    for name in _LEFT_BEHIND:
        shutil.rmtree(folder / name, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    sites_file = folder / "sites.toml"
    sites_file.write_text(_sites())
    console = Console()
    visits = Visits(visitors=visitors, seconds=seconds)
    environ = {"FAIRROLL_SITES": str(sites_file), "FAIRROLL_METRICS_PERIOD_S": str(_PERIOD_S)}
    stack = LocalStack(folder, ports=Ports.free(), environ=environ, is_secure=is_secure)
    page = asyncio.run(_demonstrate(stack, folder, people, visits, console))
    console.print(f"\nWhat Grafana would show, as a page for any browser: {page}", soft_wrap=True)
    _point_on(console, folder)


async def _demonstrate(
    stack: LocalStack, folder: Path, people: list[tuple[str, Path]], visits: Visits, console: Console
) -> Path:
    console.print(
        "Starting mosquitto, Kafka, InfluxDB and the pipeline, on free ports of this machine.", soft_wrap=True
    )
    started_ms = int(1000 * time.time())
    async with stack:
        sites = read_sites(stack.settings.sites)
        scene = await _play(stack, people, visits, console)
        console.print()
        console.print(await summary(stack.settings, sites, scene))
        return await _preview(stack.settings, folder, started_ms)


async def _preview(settings: Settings, folder: Path, started_ms: int) -> Path:
    """Write the dashboards of the demo as a page, which remains after InfluxDB has stopped."""
    now_ms, minute_ms = int(1000 * time.time()), started_ms // 60_000 * 60_000
    since = datetime.fromtimestamp(minute_ms / 1000, UTC).isoformat()
    city = await query_boards(settings, ["city"], now_ms, since=since)
    site = await query_boards(settings, ["site"], now_ms, since=since, typed={"site": _SIMULATED.format(number=1)})
    return write_page(folder, city + site)


async def _play(stack: LocalStack, people: list[tuple[str, Path]], visits: Visits, console: Console) -> Scene:
    scene = Scene(gate=f"{_SITE}/{_DEVICE}", fleet=f"{_SIMULATED_SITES} sites, {_DISPENSERS} at each")
    with Live(console=console, refresh_per_second=4, get_renderable=lambda: screen(scene)):
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(stack.watch(), name="watch")
            fleet = tasks.create_task(_fleet(stack.settings, visits, scene), name="fleet")
            await _at_the_gate(stack.settings, people, scene)
            await fleet
            watch.cancel()
    return scene


async def _at_the_gate(settings: Settings, people: list[tuple[str, Path]], scene: Scene) -> None:
    """Each person asks by face, asks again, presses the button; at the end the staff helps one."""
    chain = open_site_key_chain(site_key_file(settings, _SITE), face_model(_MODEL))
    identity = Identity(site=_SITE, device=_DEVICE, model=_MODEL, namespace=settings.namespace)
    security = read_security(settings, _SITE, _DEVICE)
    dispenser = Dispenser(identity, SimulatedMotor(), settings.mqtt, security=security, follower=chain)
    session = asyncio.create_task(dispenser.run(), name="gate")
    try:
        vision = await asyncio.to_thread(open_vision, _MODEL, settings.data / "weights")
        await dispenser.controlled.wait()
        for name, path in people:
            capture = RepeatedCapture(TemplateCapture(ThreadCapture(_camera(path), vision), chain))
            panel = Panel(dispenser, capture)
            for press in ("face", "face", "button"):
                shown = await _press(panel, press, scene)
                scene.lines.append((name, press, capture.comparison if press == "face" else "", shown))
        shown = await _press(Panel(dispenser), "staff", scene)
        scene.lines.append(("staff", "staff", "", shown))
    finally:
        session.cancel()
        await asyncio.gather(session, return_exceptions=True)


async def _press(panel: Panel, press: Press, scene: Scene) -> str:
    """Return what the display shows."""
    shown: Shown = await panel.press(press)
    if isinstance(shown, RequestClosed):
        scene.closed.append(shown)
    return display_text(shown)


def _camera(path: Path) -> Camera:
    """Return the camera: a single photo is varied from its second capture on; several photos differ anyway."""
    folder = PhotoFolder(path)
    return folder if len(photos(path)) > 1 else VariedCamera(folder)


async def _fleet(settings: Settings, visits: Visits, scene: Scene) -> None:
    """Run the fleet in a process of its own, as it would run on a host of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "devices.cli", "fleet"),
        *("--visitors", str(visits.visitors), "--seconds", str(visits.seconds), "--seed", str(visits.seed)),
        env=settings.to_environ(),
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    assert process.stdout, "it is a pipe"  # noqa: S101 - for the type checker
    try:
        async for line in process.stdout:
            scene.tally = msgspec.json.decode(line, type=Tally)
        if await process.wait():
            raise ConfigError("the fleet ended with the error above")
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def _people(own: Path | None) -> Iterator[tuple[str, Path]]:
    """Yield name and photos of each person: a folder each, or single files; the astronaut by default."""
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
        text += _SIMULATED_TOML.format(site=_SIMULATED.format(number=number), devices=simulated)
    return text


def _point_on(console: Console, folder: Path) -> None:
    """Print hints for the next steps."""
    console.print(f"\nEverything is stopped. The logs are in {folder / 'logs'}. Next:", soft_wrap=True)
    for what, why in (
        ("make up", "the same pipeline, to stay"),
        ("make demo PHOTOS=dir", "your own faces: a folder a person, or single photos"),
        ("docs/architecture.md", "how one request travels"),
        ("docs/contract.md", "how to build a dispenser"),
    ):
        console.print(f"  {what:<22}{why}", soft_wrap=True)
