"""One scene for all of these tests: it takes about a minute and a half."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.grafana.scene import Scene, play


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with play(tmp_path_factory.mktemp("scene")) as played:
        yield played
