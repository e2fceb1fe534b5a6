"""The proof in miniature, and that it can fail."""

import time
from pathlib import Path

import pytest

from models.ledger.codec import decode_outcome
from models.ledger.outcomes import Answered
from tests.experiments.replay_proof.proof import prove
from tests.replay.conftest import REQUESTS, Recorded

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]


async def test_live_decisions_are_those_of_every_replay_and_one_altered_byte_is_found(
    pipeline: Recorded, tmp_path: Path
) -> None:
    decisions = list(pipeline.decisions)
    place = next(n for n, (_, value) in enumerate(decisions) if b'"kind":"refuse"' in value)
    altered = decisions[place][1].replace(b'"retry_after_s":', b'"retry_after_s":1')
    outcome = decode_outcome(altered)
    assert isinstance(outcome, Answered)
    decisions[place] = (decisions[place][0], altered)
    proofs = await prove(pipeline.stack, tmp_path, decisions, until=time.time_ns() // 1_000_000)
    kafka, simulated, real = proofs
    assert kafka.requests == simulated.requests + real.requests == REQUESTS
    assert (kafka.by_record, simulated.by_record, real.by_template) == (0, 0, 0)
    assert sorted(proof.different for proof in proofs) == [0, 1, 1]
