"""The whole pipeline on free ports, once for all of these tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from infra.local.ports import Ports
from infra.local.stack import LocalStack

SITES = """\
[sites.park]
devices = ["gate", "door", "window", "wall"]
mode = "face"
sign = "Press face and be remembered for nine minutes at most; or press the button."

[sites.hall]
devices = ["gate"]
mode = "button"

[sites.dam]
devices = ["flooded", "dry"]
mode = "button"

[sites.meadow]
devices = ["north", "south", "west"]
mode = "face"
simulated = true
"""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pipeline(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    """Brokers and processes; each test uses a dispenser, or visitors, that no other test uses."""
    folder = tmp_path_factory.mktemp("pipeline")
    sites = folder / "sites.toml"
    sites.write_text(SITES)
    environ = {"FAIRROLL_SITES": str(sites), "FAIRROLL_METRICS_PERIOD_S": "2"}
    async with LocalStack(folder, ports=Ports.free(), environ=environ) as stack:
        yield stack
        for process in stack:
            process.check()
