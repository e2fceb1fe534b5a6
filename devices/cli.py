"""The `dispenser` command: run one dispenser, or simulate a fleet."""

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

from devices.enrolment.command import enroll
from devices.hardware.buttons import typed_lines
from devices.hardware.display import Display, GuardedDisplay, StandardOutput
from devices.hardware.motor import SimulatedMotor
from devices.hardware.panel import Panel, Press, display_text
from devices.journal.port import InMemoryJournal, Journal
from devices.journal.sqlite import DiskJournal
from devices.session.boot_id import boot_id
from devices.session.security import read_security
from devices.session.session import Dispenser, Identity
from devices.session.site_key import open_site_key_chain, site_key_file
from devices.simulation.fleet import Fleet, Tally, Visits
from devices.simulation.synthetic_faces import SYNTHETIC
from devices.vision.process import VisionProcess, worker_command
from devices.vision.protocol import VisionConfig
from devices.vision.template_capture import TemplateCapture
from devices.weights.commands import weights
from models.contract.face_models import face_model
from models.contract.messages import Placement
from models.errors import ConfigError, FairrollError, first_of
from models.operator_models import add_operator_models
from models.process.site_file import read_sites
from models.process.stop_signals import stop_on_signals
from models.settings import Settings

__all__ = ["main"]

_PROGRESS_S = 0.5
_CONTROL_TIMEOUT_S = 3.0


def main() -> None:
    """Run the `dispenser` command; an error is one line on standard error, and sets the exit code."""
    stop_on_signals()
    # standard output carries only what visitors and programs read; logs go to standard error
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    code = 0
    try:
        add_operator_models(os.environ)
        commands(prog_name="dispenser")
    except* FairrollError as group:
        error = first_of(group)
        click.echo(f"dispenser: {error}", err=True)
        code = error.exit_code
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Run a paper dispenser that implements the fairroll contract (docs/contract.md).

    FAIRROLL_MQTT is the broker (host:port); FAIRROLL_NAMESPACE is the first level of each topic. The site key is read
    from the folder FAIRROLL_SECRETS. The state that survives a power cut is written to FAIRROLL_DATA/dispensers, one
    file per dispenser.
    """


commands.add_command(enroll)
commands.add_command(weights)


@commands.command()
@click.argument("site")
@click.argument("device")
@click.option(
    "--photos",
    type=click.Path(exists=True, path_type=Path),
    help="Image files in place of a camera: a folder, a file.",
)
@click.option("--model", default="dlib-resnet/1", show_default=True, help="Face model of the camera.")
@click.option(
    "--placement",
    type=click.Choice(get_args(Placement)),
    default="entrance",
    show_default=True,
    help="Place of the dispenser; inside a restroom no camera is allowed.",
)
@click.option(
    "--patience",
    type=click.FloatRange(0.1, 60),
    default=3.0,
    show_default=True,
    help="Seconds that a visitor waits for an answer before the local ration is dispensed.",
)
@click.option(
    "--capture-timeout",
    type=click.FloatRange(0.1, 60),
    default=8.0,
    show_default=True,
    help="Timeout of a capture, in seconds.",
)
def run(
    *,
    site: str,
    device: str,
    photos: Path | None,
    model: str,
    placement: Placement,
    patience: float,
    capture_timeout: float,
) -> None:
    """Run one dispenser, until the end of standard input, SIGINT or SIGTERM.

    Button presses are read from standard input, one per line: face, button, staff, forget. A press during another
    request is dropped. A dispenser with a camera prints the site's sign at the start and after each change of it. The
    journal, with the reports that are not acknowledged yet, survives a restart.
    """
    settings = Settings.from_environ(os.environ)
    if placement == "inside" and photos:
        raise ConfigError("--placement inside: no camera is allowed inside a restroom; remove --photos")
    identity = _identity(settings.namespace, site, device, model if photos else "")
    journal = _journal(settings, identity)
    chain = open_site_key_chain(site_key_file(settings, site), face_model(model)) if photos else None
    motor = SimulatedMotor()
    security = read_security(settings, site, device)
    dispenser = Dispenser(
        identity, motor, settings.mqtt, security=security, journal=journal, follower=chain, patience_s=patience
    )
    vision = _vision(settings, photos, model, capture_timeout, dispenser) if photos else None
    face_capture = TemplateCapture(vision, chain) if vision and chain else None
    with GuardedDisplay(StandardOutput()) as display:
        asyncio.run(_run(Panel(dispenser, face_capture), dispenser, display, vision))


@commands.command()
@click.option("--visitors", default=400, show_default=True)
@click.option("--seconds", default=60.0, show_default=True, help="Seconds from the first arrival to the last.")
@click.option("--seed", default=1, show_default=True)
@click.option("--journals", is_flag=True, help="Write the journal of each dispenser to FAIRROLL_DATA.")
def fleet(visitors: int, seconds: float, seed: int, *, journals: bool) -> None:
    """Simulate each dispenser of the sites marked `simulated` in FAIRROLL_SITES; print counts as JSON lines."""
    settings = Settings.from_environ(os.environ)
    simulated = {name: spec.devices for name, spec in read_sites(settings.sites).sites.items() if spec.simulated}
    if not simulated:
        raise ConfigError(f"no site in {settings.sites} is marked simulated = true")
    chains = {site: open_site_key_chain(site_key_file(settings, site), SYNTHETIC) for site in simulated}
    visits = Visits(visitors=visitors, seconds=seconds, seed=seed)
    journal = partial(_journal, settings) if journals else lambda _: InMemoryJournal()
    tally = asyncio.run(_simulate(Fleet(settings, chains, simulated, journal), visits))
    click.echo(msgspec.json.encode(tally))


async def _run(panel: Panel, dispenser: Dispenser, display: Display, vision: VisionProcess | None) -> None:
    """Serve button presses until the end of standard input, SIGINT or SIGTERM; then stop the dispenser."""
    async with asyncio.TaskGroup() as tasks:
        background = [tasks.create_task(dispenser.run(), name="session")]
        background.append(tasks.create_task(_show_sign(panel, dispenser, display), name="sign"))
        if vision:
            background.append(tasks.create_task(vision.run(), name="vision"))
        presses = tasks.create_task(_serve(panel, dispenser, display), name="presses")
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, presses.cancel)
        await asyncio.wait({presses})
        for task in background:
            task.cancel()


async def _serve(panel: Panel, dispenser: Dispenser, display: Display) -> None:
    """Start a task for each press; the panel decides whether it is served or dropped."""
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
    """Show the sign, and show it again after each change."""
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
    """Wait for the control of the site, with a timeout; without a control the dispenser serves local rations."""
    try:
        async with asyncio.timeout(_CONTROL_TIMEOUT_S):
            await dispenser.controlled.wait()
    except TimeoutError:
        display.show("the site does not answer: press the button for a local ration; the camera stays off")


async def _simulate(fleet: Fleet, visits: Visits) -> Tally:
    """Simulate the visits and print the tally, at most twice a second."""
    printed = 0.0

    def report_progress(tally: Tally) -> None:
        nonlocal printed
        if time.monotonic() - printed >= _PROGRESS_S:
            printed = time.monotonic()
            click.echo(msgspec.json.encode(tally))

    return await fleet.serve(visits, report_progress)


def _identity(namespace: str, site: str, device: str, model: str) -> Identity:
    """Build the identity; raises ConfigError for an invalid site or device name."""
    try:
        return msgspec.convert({"site": site, "device": device, "model": model, "namespace": namespace}, Identity)
    except msgspec.ValidationError:
        raise ConfigError(f"{site} {device}: names are lower-case letters, digits and hyphens, 63 at most") from None


def _journal(settings: Settings, identity: Identity) -> Journal:
    return DiskJournal(settings.data / "dispensers" / f"{identity}.db", boot_id())


def _vision(
    settings: Settings, photos: Path, model: str, capture_timeout_s: float, dispenser: Dispenser
) -> VisionProcess:
    """Build the vision process. Only the child imports the vision packages: a button-only dispenser has none."""
    config = VisionConfig(photos=str(photos), model=model, weights=str(settings.data / "weights"))
    return VisionProcess(worker_command(config), capture_timeout_s=capture_timeout_s, changed=dispenser.camera_changed)


if __name__ == "__main__":
    main()
