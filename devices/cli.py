"""`dispenser`: what runs on a device, and a simulated fleet of them."""

import asyncio
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import TypeGuard, get_args

import click
import msgspec
import structlog

from devices.hardware.buttons import typed_lines
from devices.hardware.display import Display, GuardedDisplay, StandardOutput
from devices.hardware.motor import SimulatedMotor
from devices.hardware.panel import Panel, Press, display_text
from devices.journal.port import InMemoryJournal, Journal
from devices.journal.sqlite import DiskJournal
from devices.session.device_files import boot_id, read_sites
from devices.session.session import Dispenser, Identity
from devices.session.site_key import open_site_key_chain, site_key_file
from devices.simulation.fleet import Fleet, Tally, Visits
from devices.simulation.synthetic_faces import SYNTHETIC
from devices.vision.process import VisionProcess, worker_command
from devices.vision.protocol import VisionConfig
from devices.vision.template_capture import TemplateCapture
from models.contract.face_models import face_model
from models.contract.messages import Placement
from models.errors import ConfigError, FairrollError, first_of
from models.settings import Settings
from models.stop_signals import stop_on_signals

__all__ = ["main"]

_PROGRESS_S = 0.5
_CONTROL_TIMEOUT_S = 3.0


def main() -> None:
    """The `dispenser` command; what is wrong is display_text in a line."""
    stop_on_signals()
    # standard output belongs to what people and programs read
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    code = 0
    try:
        commands(prog_name="dispenser")
    except* FairrollError as group:
        error = first_of(group)
        click.echo(f"dispenser: {error}", err=True)
        code = error.exit_code
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """A paper dispenser that speaks fairroll's contract (docs/contract.md).

    The broker is FAIRROLL_MQTT (host:port); topics start with FAIRROLL_NAMESPACE. The site's key lies in the folder
    FAIRROLL_SECRETS. What survives a power cut is kept in FAIRROLL_DATA/dispensers, a file a dispenser.
    """


@commands.command()
@click.argument("site")
@click.argument("device")
@click.option("--photos", type=click.Path(exists=True, path_type=Path), help="What the camera sees: a folder, a file.")
@click.option("--model", default="dlib-resnet/1", show_default=True, help="The face model.")
@click.option(
    "--placement",
    type=click.Choice(get_args(Placement)),
    default="entrance",
    show_default=True,
    help="Where it hangs; inside a restroom it takes no camera.",
)
@click.option(
    "--patience",
    type=click.FloatRange(0.1, 60),
    default=3.0,
    show_default=True,
    help="Seconds until it serves by itself.",
)
@click.option(
    "--look",
    type=click.FloatRange(0.1, 60),
    default=8.0,
    show_default=True,
    help="Seconds until a look is given up.",
)
def run(
    *, site: str, device: str, photos: Path | None, model: str, placement: Placement, patience: float, look: float
) -> None:
    """Run one dispenser, until the end of standard input, SIGINT or SIGTERM.

    It reads what people do from standard input: face, button, staff, forget; a line each. A press while somebody is
    served is dropped. Where there is a camera it first shows the site's sign, and again when that says something new.
    Its journal, with the reports that are not noted yet, outlives it.
    """
    settings = Settings.from_environ(os.environ)
    if placement == "inside" and photos:
        raise ConfigError("--placement inside: no camera may look at anybody inside a restroom; leave --photos away")
    identity = _identity(settings.namespace, site, device, model if photos else "")
    journal = _journal(settings, identity)
    chain = open_site_key_chain(site_key_file(settings, site), face_model(model)) if photos else None
    motor = SimulatedMotor()
    dispenser = Dispenser(identity, motor, settings.mqtt, journal=journal, follower=chain, patience_s=patience)
    vision = _vision(settings, photos, model, look, dispenser) if photos else None
    face_capture = TemplateCapture(vision, chain) if vision and chain else None
    with GuardedDisplay(StandardOutput()) as display:
        asyncio.run(_run(Panel(dispenser, face_capture), dispenser, display, vision))


@commands.command()
@click.option("--visitors", default=400, show_default=True)
@click.option("--seconds", default=60.0, show_default=True, help="From the first arrival to the last.")
@click.option("--seed", default=1, show_default=True)
@click.option("--journals", is_flag=True, help="Give each dispenser a journal on the disk, in FAIRROLL_DATA.")
def fleet(visitors: int, seconds: float, seed: int, *, journals: bool) -> None:
    """Simulate every dispenser of the sites marked `simulated` in FAIRROLL_SITES; prints its tally as JSON lines."""
    settings = Settings.from_environ(os.environ)
    simulated = {name: spec.devices for name, spec in read_sites(settings).sites.items() if spec.simulated}
    if not simulated:
        raise ConfigError(f"no site in {settings.sites} is marked simulated = true")
    chains = {site: open_site_key_chain(site_key_file(settings, site), SYNTHETIC) for site in simulated}
    visits = Visits(visitors=visitors, seconds=seconds, seed=seed)
    journal = partial(_journal, settings) if journals else lambda _: InMemoryJournal()
    tally = asyncio.run(_simulate(Fleet(settings, chains, simulated, journal), visits))
    click.echo(msgspec.json.encode(tally))


async def _run(panel: Panel, dispenser: Dispenser, display: Display, vision: VisionProcess | None) -> None:
    """Serve whoever presses, until the end of standard input, SIGINT or SIGTERM; then stop the dispenser in order."""
    async with asyncio.TaskGroup() as tasks:
        kept = [tasks.create_task(dispenser.run(), name="session")]
        kept.append(tasks.create_task(_show_sign(panel, dispenser, display), name="sign"))
        if vision:
            kept.append(tasks.create_task(vision.run(), name="vision"))
        people = tasks.create_task(_serve(panel, dispenser, display), name="people")
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, people.cancel)
        await asyncio.wait({people})
        for task in kept:
            task.cancel()


async def _serve(panel: Panel, dispenser: Dispenser, display: Display) -> None:
    """Take each press when it comes: whether somebody can be served then is the panel's to say."""
    await _wait_for_control(dispenser, display)
    async with asyncio.TaskGroup() as presses:
        async for typed in typed_lines(sys.stdin.fileno()):
            if _is_press(typed):
                presses.create_task(_press(panel, typed, display))
            else:
                display.show(f"{typed}? press one of {', '.join(get_args(Press))}")


async def _press(panel: Panel, press: Press, display: Display) -> None:
    display.show(display_text(await panel.press(press)))


async def _show_sign(panel: Panel, dispenser: Dispenser, display: Display) -> None:
    """Show the sign, and show it again when it says something else."""
    shown = ""
    while True:
        await dispenser.permission_changed.wait()
        dispenser.permission_changed.clear()
        if panel.sign != shown:
            shown = panel.sign
            display.show(shown)


def _is_press(pressed: str) -> TypeGuard[Press]:
    return pressed in get_args(Press)


async def _wait_for_control(dispenser: Dispenser, display: Display) -> None:
    """Give the site a moment to tell its mode; without it the dispenser serves by itself."""
    try:
        async with asyncio.timeout(_CONTROL_TIMEOUT_S):
            await dispenser.controlled.wait()
    except TimeoutError:
        display.show("the site does not answer: buttons are served with a local ration, no face is looked at")


async def _simulate(fleet: Fleet, visits: Visits) -> Tally:
    """Print the tally while it grows, at most twice a second."""
    printed = 0.0

    def told(tally: Tally) -> None:
        nonlocal printed
        if time.monotonic() - printed >= _PROGRESS_S:
            printed = time.monotonic()
            click.echo(msgspec.json.encode(tally))

    return await fleet.serve(visits, told)


def _identity(namespace: str, site: str, device: str, model: str) -> Identity:
    """Raises ConfigError for a name that could be no site's or dispenser's."""
    try:
        return msgspec.convert({"site": site, "device": device, "model": model, "namespace": namespace}, Identity)
    except msgspec.ValidationError:
        raise ConfigError(f"{site} {device}: names are lower-case letters, digits and hyphens, 63 at most") from None


def _journal(settings: Settings, identity: Identity) -> Journal:
    return DiskJournal(settings.data / "dispensers" / f"{identity}.db", boot_id())


def _vision(
    settings: Settings, photos: Path, model: str, capture_timeout_s: float, dispenser: Dispenser
) -> VisionProcess:
    """Vision is loaded in its own process alone: a button-only dispenser has none of its packages."""
    config = VisionConfig(photos=str(photos), model=model, weights=str(settings.data / "weights"))
    return VisionProcess(worker_command(config), capture_timeout_s=capture_timeout_s, changed=dispenser.camera_changed)


if __name__ == "__main__":
    main()
