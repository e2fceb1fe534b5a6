"""`make replay-proof` measures the replay, and not the measurement itself."""

from pathlib import Path

from tests.experiments.replay_proof.long import long_happenings
from tests.experiments.replay_proof.speed import peak_mb, write_archive
from tests.support.story import SECRET


def test_the_memory_of_a_replay_is_its_own_and_not_that_of_the_process_that_measures(tmp_path: Path) -> None:
    (tmp_path / "pipeline.key").write_text(SECRET.hex())
    write_archive(tmp_path / "short.jsonl.zst", long_happenings(100))
    ballast = bytearray(b"x") * 400_000_000
    assert 20 < peak_mb(tmp_path / "short.jsonl.zst", tmp_path) < len(ballast) / 2**20
