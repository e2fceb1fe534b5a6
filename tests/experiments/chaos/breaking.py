"""The checker's own test: pipelines that a promise was taken out of, and what must be reported of each."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import structs

from tests.experiments.chaos.checker import Verdict
from tests.experiments.chaos.faults import Fault, fault
from tests.experiments.chaos.load import Load
from tests.experiments.chaos.segments import open_run

__all__ = ["BROKEN_PIPELINES", "BrokenPipeline", "judged"]

_SETTLE_S = 10.0


class BrokenPipeline(NamedTuple):
    """A pipeline, the fault that brings out what is wrong with it, and words of which one must be reported."""

    name: str
    """of the program in `tests.experiments.chaos.broken_pipelines`"""
    service: str
    """that it stands in for"""
    fault: Fault
    words: Sequence[str]

    def is_reported(self, verdict: Verdict) -> bool:
        return any(word in sentence for sentence in verdict.off for word in self.words)


BROKEN_PIPELINES = (
    BrokenPipeline("forgetful-decider", "decider", fault("duplicates"), [" doubled: "]),
    BrokenPipeline("hasty-ingress", "ingress", fault("kafka-away"), ["probes acknowledged and lost"]),
    BrokenPipeline(
        "skipping-decider", "decider", fault("join-leave"), ["without a decision", "otherwise than by a plain fold"]
    ),
)


async def judged(broken: BrokenPipeline, folder: Path, load: Load) -> Verdict:
    """Put the fault on the broken pipeline under load, and return the checker's verdict."""
    instead = {broken.service: ("tests.experiments.chaos.broken_pipelines", broken.name)}
    async with open_run(folder, structs.replace(load, settle_s=_SETTLE_S), instead) as run:
        return await run.segment(broken.fault)
