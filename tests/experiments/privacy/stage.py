"""The running system on which claims are tried: two sites with faces, their dispensers, and people."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from devices.hardware.motor import SimulatedMotor
from devices.hardware.panel import Panel, Press, Shown
from devices.machine.actions import RequestClosed
from devices.session.security import read_security
from devices.session.session import Dispenser, Identity
from devices.session.site_key import SiteKeyChain, open_site_key_chain, site_key_file
from devices.simulation.synthetic_faces import SYNTHETIC, SyntheticFace
from infra.local.ports import Ports
from infra.local.stack import LocalStack
from models.contract.messages import Dispense
from models.face.capture_result import Seen
from models.settings import Settings

__all__ = ["WINDOW_S", "Eye", "Stage", "open_stage"]

WINDOW_S = 60
"""the shortest that a policy may have"""
_SITES = """\
[sites.park]
devices = ["gate"]
mode = "face"

[sites.lake]
devices = ["pier", "boat"]
mode = "face"

[sites.hall]
devices = ["desk"]

[sites.park.policy]
window_s = {window_s}

[sites.lake.policy]
window_s = {window_s}
"""


class Eye:
    """A camera that sees one synthetic person, and counts how often it looked."""

    def __init__(self, chain: SiteKeyChain, face: SyntheticFace) -> None:
        self._chain, self._face = chain, face
        self.captures = 0

    async def capture(self) -> Seen:
        self.captures += 1
        protector = self._chain.protector
        return Seen(model=SYNTHETIC.id, epoch=protector.epoch, template=protector.protect(self._face.capture()))


class Stage:
    """Dispensers come and go; people press."""

    def __init__(self, stack: LocalStack, folder: Path, seed: int) -> None:
        self.stack, self.folder = stack, folder
        self._rng = np.random.default_rng(seed)
        self.last_grant = 0.0
        """monotonic seconds"""

    @property
    def settings(self) -> Settings:
        return self.stack.settings

    def person(self) -> SyntheticFace:
        return SyntheticFace(self._rng.spawn(1)[0])

    @asynccontextmanager
    async def dispenser(self, site: str, device: str) -> AsyncIterator[tuple[Dispenser, SiteKeyChain]]:
        """One that is connected, and has seen its site's control."""
        chain = open_site_key_chain(site_key_file(self.settings, site), SYNTHETIC)
        identity = Identity(site=site, device=device, model=SYNTHETIC.id)
        dispenser = Dispenser(
            identity,
            SimulatedMotor(),
            self.settings.mqtt,
            security=read_security(self.settings, site, device),
            follower=chain,
        )
        running = asyncio.create_task(dispenser.run(), name=str(identity))
        try:
            async with asyncio.timeout(20):
                await dispenser.controlled.wait()
            yield dispenser, chain
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def press(self, dispenser: Dispenser, eye: Eye, press: Press) -> Shown:
        shown = await Panel(dispenser, eye).press(press)
        if press == "face" and isinstance(shown, RequestClosed) and isinstance(shown.answer, Dispense):
            self.last_grant = time.monotonic()
        return shown

    async def come(self, site: str, device: str, number: int) -> int:
        """Let visitors ask by face; return how many got a portion from the pipeline."""
        async with self.dispenser(site, device) as (dispenser, chain):
            shown = [await self.press(dispenser, Eye(chain, self.person()), "face") for _ in range(number)]
        return sum(isinstance(one, RequestClosed) and isinstance(one.answer, Dispense) for one in shown)


@asynccontextmanager
async def open_stage(folder: Path, seed: int = 1) -> AsyncIterator[Stage]:
    sites = folder / "sites.toml"
    sites.write_text(_SITES.format(window_s=WINDOW_S))
    async with LocalStack(folder, ports=Ports.free(), environ={"FAIRROLL_SITES": str(sites)}) as stack:
        yield Stage(stack, folder, seed)
