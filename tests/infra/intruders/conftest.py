"""One broker for all intruders."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from infra.local.ports import Ports
from infra.local.secured import certify, equip
from infra.local.stack import LocalStack
from models.ledger.rules.policy import parse_sites
from tests.infra.intruders.fort import Fort

_SITES = parse_sites('[sites.park]\ndevices = ["gate", "lobby"]\n[sites.hall]\ndevices = ["door"]\n', "sites.toml")


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def fort(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fort]:
    folder = tmp_path_factory.mktemp("fort")
    stack = LocalStack(folder, programs=["mosquitto"], ports=Ports.free(), is_secure=True)
    certify(folder, stack.settings, _SITES, datetime.now(UTC))
    equip(folder, ["park.thief", "staging:park.gate"], datetime.now(UTC))
    async with stack:
        pid = stack["mosquitto"].pid
        assert pid
        equip(folder, ["park.unlisted"], datetime.now(UTC))  # the broker does not know it
        yield Fort(stack.settings, folder, pid)
