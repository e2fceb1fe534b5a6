"""`make privacy`, as it is but for what is planted: a window and a minute are the shortest that there are."""

from pathlib import Path

import pytest

from tests.experiments.privacy.claims import claims
from tests.experiments.privacy.stage import open_stage


@pytest.mark.timeout(400)
async def test_every_claim_holds(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        found = [claim async for claim in claims(stage, planting=False)]
    assert len(found) == 9
    assert [f"{claim.claim}: {claim.evidence}" for claim in found if not claim.holds] == []
