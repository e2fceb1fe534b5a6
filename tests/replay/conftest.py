"""A pipeline that decided over a crowd, once for all of these tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from infra.local.stack import LocalStack
from tests.experiments.replay_proof.stage import crowd, decide, stage

REQUESTS = 1_500


class Recorded:
    """A running pipeline, and the decisions that it sent so far."""

    def __init__(self, stack: LocalStack, decisions: list[tuple[int, bytes]]) -> None:
        self.stack = stack
        self.settings = stack.settings
        self.decisions = decisions


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pipeline(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Recorded]:
    async with stage(tmp_path_factory.mktemp("stage")) as stack:
        yield Recorded(stack, await decide(stack.settings, crowd(REQUESTS)))
