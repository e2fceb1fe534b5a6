"""What tests of several folders stand on."""

import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
import pytest_asyncio
from hypothesis import HealthCheck
from xdist.scheduler import LoadScopeScheduling

from infra.local.ports import Ports
from infra.local.programs import BROKERS
from infra.local.stack import LocalStack
from infra.setup.provision import provision_topics
from models.contract.topics import kafka_topics
from models.settings import Settings
from tests.support.leftovers import adopt_orphans, children, command, end

_WINDOW_S = 540
_TOGETHER = ("e2e", "grafana", "replay")
"""Folders whose tests share a pipeline; of the others each file may run beside any other."""
_LONGEST_FIRST = ("replay", "e2e", "experiments", "grafana", "stream", "infra")
"""Folders in the order of what is handed out as one, so that no worker is left with a long one at the end."""


class _ByPipeline(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    """What shares a pipeline stays on one worker. pytest-xdist 3.8 has no groups of its own under pytest 9."""

    def _split_scope(self, nodeid: str) -> str:
        _, folder, *_ = nodeid.split("/")
        return folder if folder in _TOGETHER else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """How `pytest -n` divides the tests."""
    return _ByPipeline(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: _place(item.nodeid.split("/")[1]))


def _place(folder: str) -> int:
    return _LONGEST_FIRST.index(folder) if folder in _LONGEST_FIRST else len(_LONGEST_FIRST)


hypothesis.settings.register_profile("of any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis.settings.load_profile("of any speed")
"""A busy machine is no reason to fail: durations are measured in tests/experiments/bench."""


def pytest_configure() -> None:
    """A run in the background may ignore SIGINT, and every child would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    adopt_orphans()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Fixtures have ended by now: what is left was left by one that failed. The children of xdist's controller work."""
    if not config.getoption("numprocesses", None):
        end(children())


_SHARED: set[str] = set()
"""Command lines of programs that shared fixtures started; a test may stop one, and a later test start it again."""


@pytest.fixture(autouse=True)
def _nothing_left_running() -> Iterator[None]:
    """End what a test leaves running, and fail it. Programs of shared stacks are known by their command lines."""
    _SHARED.update(map(command, children()))
    yield
    if left := end({pid for pid in children() if command(pid) not in _SHARED}):
        pytest.fail(f"left running: {left}")


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
    async with LocalStack(tmp_path_factory.mktemp("brokers"), programs=BROKERS, ports=Ports.free()) as stack:
        await provision_topics(
            stack.settings, kafka_topics(stack.settings.topics, stack.settings.partitions, _WINDOW_S)
        )
        yield stack.settings
