"""What was decided live, and what its replays say: through an archive, through Kafka, on the record."""

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from infra.local.stack import LocalStack
from models.contract.codec import encode
from models.ledger.codec import decode_outcome
from models.ledger.outcomes import Answered, ReportKept
from models.replay.replay import IdentitySource, Replay, Replayed
from models.settings import Settings
from stream_processors.replay.pace import Pace
from stream_processors.replay.player import play
from stream_processors.replay.sources import KAFKA, SourceSpec, open_source
from tests.experiments.chaos.checker import is_repetition
from tests.experiments.replay_proof.stage import REAL, SIMULATED
from tests.support.processes import fairroll

__all__ = ["Proof", "prove"]

Outcomes = dict[tuple[int, int], set[bytes]]
"""Answers and kept reports, as bytes, by partition and offset of their event."""

_SHOWN = 5
"""differences of each way"""


class Proof(NamedTuple):
    """One replay beside what Kafka holds of the same sites."""

    way: str
    requests: int
    by_template: int
    by_record: int
    equal: int
    """events whose replayed outcomes equal the live ones, byte for byte"""
    different: int
    seconds: float


async def prove(stack: LocalStack, folder: Path, decisions: list[tuple[int, bytes]], until: int) -> list[Proof]:
    """Record and replay all that was decided before `until`; `decisions` are Kafka's, read by the caller."""
    settings = stack.settings
    simulated = await _recorded(settings, folder / "simulated.jsonl.zst", SIMULATED, "--with-templates")
    real = await _recorded(settings, folder / "real.jsonl.zst", REAL)
    return [
        await _prove(
            settings, "Kafka, all sites", SourceSpec(source=KAFKA, until=until), (*SIMULATED, *REAL), decisions
        ),
        await _prove(settings, "archive of simulated sites, with templates", simulated, SIMULATED, decisions),
        await _prove(settings, "archive of real sites, without", real, REAL, decisions),
    ]


async def _recorded(settings: Settings, file: Path, sites: Iterable[str], *options: str) -> SourceSpec:
    ran = await fairroll(settings, "record", str(file), *options, *(w for site in sites for w in ("--site", site)))
    assert ran.code == 0, ran.err
    return SourceSpec(source=str(file))


async def _prove(
    settings: Settings, way: str, asked: SourceSpec, sites: Collection[str], decisions: Iterable[tuple[int, bytes]]
) -> Proof:
    again: Outcomes = defaultdict(set)
    known: Counter[IdentitySource] = Counter()

    def tell(replayed: Replayed) -> None:
        recorded = replayed.recorded
        known[replayed.identity_source] += 1
        for outcome in replayed.outcomes:
            if isinstance(outcome, Answered | ReportKept):
                again[recorded.partition, recorded.offset].add(encode(outcome))

    started = time.perf_counter()
    async with open_source(settings, asked) as opened:
        replay = Replay(opened.source.recording, opened.pipeline_secret)
        await play(opened.source, replay, Pace(None), {}, tell)
    took = time.perf_counter() - started
    live = _live(decisions, sites)
    spots = live.keys() | again.keys()
    different = [spot for spot in spots if not _is_equal(live.get(spot, set()), again.get(spot, set()))]
    for spot in sorted(different)[:_SHOWN]:
        print(f"{way}, event {spot}: live {live.get(spot)}, replayed {again.get(spot)}")
    requests = sum(any(isinstance(decode_outcome(value), Answered) for value in outcomes) for outcomes in live.values())
    equal = len(spots) - len(different)
    return Proof(
        way, requests, known[IdentitySource.TEMPLATE], known[IdentitySource.RECORD], equal, len(different), took
    )


def _live(decisions: Iterable[tuple[int, bytes]], sites: Collection[str]) -> Outcomes:
    outcomes: Outcomes = defaultdict(set)
    for partition, value in decisions:
        outcome = decode_outcome(value)
        if isinstance(outcome, Answered | ReportKept) and outcome.site in sites:
            outcomes[partition, outcome.offset].add(value)
    return outcomes


def _is_equal(live: set[bytes], again: set[bytes]) -> bool:
    """Repetitions of redelivered events apart, of which a recording has none."""
    return bool(again) and again <= live and all(is_repetition(value, again) for value in live - again)
