"""`make chaos` in miniature: a few of its faults at a low rate, one after another in one pipeline."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.experiments.chaos.faults import fault
from tests.experiments.chaos.load import Load
from tests.experiments.chaos.segments import Run, open_run

pytestmark = pytest.mark.asyncio(loop_scope="module")

_LOAD = Load(rate=40, seconds=4.5)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Run]:
    async with open_run(tmp_path_factory.mktemp("chaos"), _LOAD) as run:
        yield run


@pytest.mark.parametrize("name", ["kill-decider", "kill-ingress", "kill-crowd", "cut", "duplicates"])
async def test_every_promise_holds_through(name: str, run: Run) -> None:
    verdict = await run.segment(fault(name))
    assert verdict.is_ok, verdict.off
    assert verdict.asked > 60
    assert verdict.decided == verdict.in_kafka
