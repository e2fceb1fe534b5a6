"""`make replay-proof`: live decisions equal to their replays, and how fast and in how much memory they are replayed."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from infra.tables import Table, stacked
from tests.experiments.replay_proof.long import long_happenings
from tests.experiments.replay_proof.proof import Proof, prove
from tests.experiments.replay_proof.speed import peak_mb, speed, write_archive
from tests.experiments.replay_proof.stage import crowd, decide, stage
from tests.support.story import SECRET

_LENGTHS = (1, 2, 4)
"""quarters of the longest recording"""


def main() -> int:
    """Exit code 1 where anything is different."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000, help="of the recorded run")
    parser.add_argument("--long", type=int, default=100_000, help="requests of the longest recording")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fairroll-replay-") as name:
        proofs = asyncio.run(_prove(Path(name), options.requests))
        console = Console()
        console.print(_proof_table(proofs))
        console.print()
        console.print(stacked(*_speed_tables(Path(name), options.long)))
    return int(any(proof.different for proof in proofs))


async def _prove(folder: Path, requests: int) -> list[Proof]:
    async with stage(folder) as stack:
        decisions = await decide(stack.settings, crowd(requests))
        return await prove(stack, folder, decisions, until=time.time_ns() // 1_000_000)


def _proof_table(proofs: Sequence[Proof]) -> Table:
    heads = ("through", "requests", "by template", "by record", "events equal", "different", "s")
    table = Table(*heads, title="live decisions beside their replay, byte for byte")
    for proof in proofs:
        way, *counts, seconds = proof
        table.add_row(way, *(f"{count:,}" for count in counts), f"{seconds:.0f}")
    return table


def _speed_tables(folder: Path, longest: int) -> tuple[Table, Table]:
    (folder / "keys").mkdir(mode=0o700)
    (folder / "keys" / "pipeline.key").write_text(SECRET.hex())
    sizes = Table("events", "windows", "MB of archive", "peak MB", title="memory of a replay")
    for quarters in _LENGTHS:
        archive, requests = folder / f"long-{quarters}.jsonl.zst", longest * quarters // _LENGTHS[-1]
        events = write_archive(archive, long_happenings(requests))
        size = archive.stat().st_size / 1e6
        sizes.add_row(f"{events:,}", f"{requests // 1_000}", f"{size:.1f}", f"{peak_mb(archive, folder / 'keys'):.0f}")
    return _rates(folder / "long-1.jsonl.zst"), sizes


def _rates(archive: Path) -> Table:
    measured = speed(archive)
    table = Table("what", "events/s", "to the fold", title="a second of one processor")
    table.add_row("the fold alone", f"{measured.fold:,.0f}", "")
    table.add_row(
        "replay at max, from the archive", f"{measured.replay:,.0f}", f"{measured.replay / measured.fold:.2f}"
    )
    table.add_row("the archive's check before it", f"{measured.opening:,.0f}", "")
    return table


if __name__ == "__main__":
    sys.exit(main())
