"""A checker that reports nothing would be worth nothing: what was broken on purpose must be reported."""

from pathlib import Path

import pytest

from tests.experiments.chaos.breaking import BROKEN_PIPELINES, BrokenPipeline, judged
from tests.experiments.chaos.load import Load

_LOADS = {
    "forgetful-decider": Load(rate=30, seconds=4),
    "hasty-ingress": Load(rate=20, seconds=5),
    "skipping-decider": Load(rate=60, seconds=8),
}


@pytest.mark.parametrize("broken", BROKEN_PIPELINES, ids=lambda broken: broken.name)
async def test_what_is_broken_is_reported(broken: BrokenPipeline, tmp_path: Path) -> None:
    verdict = await judged(broken, tmp_path, _LOADS[broken.name])
    assert broken.is_reported(verdict), verdict
