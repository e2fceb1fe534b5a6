"""What tests of several folders stand on."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from infra.local.parts import BROKERS
from infra.local.ports import Ports
from infra.local.stack import LocalStack
from infra.provision import provision_topics
from models.settings import Settings
from models.topics import kafka_topics

_WINDOW_S = 540
_TOGETHER = ("e2e", "grafana", "replay")
"""Folders whose tests share a pipeline; of the others each file may run beside any other."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell pytest-xdist what stays on one worker, before its own hook reads the marks."""
    for item in items:
        folder, *rest = item.path.relative_to(Path(__file__).parent).parts
        group = folder if folder in _TOGETHER else "/".join((folder, *rest))
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder on a memory file system, as key holders want it."""
    with tempfile.TemporaryDirectory(prefix="fairroll-test-", dir="/dev/shm") as folder:
        yield Path(folder)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def brokers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    """Real brokers for the whole run, with the pipeline's topics. They start when a test first asks for them.

    Only addresses come out of it: a test runs in a loop of its own.
    """
    async with LocalStack(tmp_path_factory.mktemp("brokers"), parts=BROKERS, ports=Ports.free()) as stack:
        await provision_topics(stack.settings, kafka_topics(stack.settings.partitions, _WINDOW_S))
        yield stack.settings
