"""How fast a backlog is decided, next to other ways of doing the same, and by two workers next to one."""

import importlib.util
from pathlib import Path

from models.ledger.events import Event, SiteConfigured
from models.ledger.rules.policy import Policy
from tests.experiments.bench.drain.contestants import Contestant, decider, measure, process
from tests.experiments.bench.parts import Part, Row
from tests.experiments.replay_proof.stage import REAL, SIMULATED, crowd

__all__ = ["drain", "workers"]

_SITES = (*SIMULATED, *REAL)
_SITES_FILE = "".join(f'[sites.{site}]\nmode = "face"\ndevices = ["d0"]\n' for site in _SITES)
_POLICY = Policy(window_s=3600, button_budget_cm=100_000, dispenser_limit_cm=100_000)
_NOTE = (
    "Requests and reports of eight sites, templates not sealed, in 4 partitions; all are in Kafka before a worker"
    " starts. The bare aiokafka loop has the same fold, the same batches, a changelog with the last row of each key,"
    " which is written after the outcomes are acknowledged, and commits every 2.8 s."
)
_QUIX = (
    " Quix Streams writes every row to RocksDB and its changelog, and sends outcomes immediately; its rows reach Kafka"
    " at a checkpoint every 2.8 s only."
)
_NO_QUIX = " Quix Streams is not installed: `pip install -e .[bench]`."


async def drain(folder: Path, turns: int, *, events: int = 30_000, before: Path | None = None) -> list[Part]:
    """One worker next to a bare loop and to Quix Streams. `before`: another tree, whose decider is measured as well."""
    contestants = [process("bare"), decider("decider")]
    has_quix = importlib.util.find_spec("quixstreams") is not None
    if has_quix:
        contestants.append(process("quix"))
    if before:
        contestants.append(decider("before", tree=before))
    await measure(folder, contestants, _SITES_FILE, _events(events), turns)
    note = _NOTE + (_QUIX if has_quix else _NO_QUIX)
    cpu = "CPU time of one worker and a million events"
    return [
        Part("drain", f"a backlog of {events:,} events, one worker", "events/s", _rows(contestants), "bare", note),
        Part("CPU", cpu, "s", tuple(Row(one.name, tuple(one.cpu_s)) for one in contestants), "bare"),
    ]


async def workers(folder: Path, turns: int, *, events: int = 30_000) -> list[Part]:
    """Two workers next to one."""
    contestants = [decider("one"), decider("two", workers=2)]
    await measure(folder, contestants, _SITES_FILE, _events(events), turns)
    title = f"a backlog of {events:,} events in 4 partitions, decided by one worker and by two"
    return [Part("workers", title, "events/s", _rows(contestants), "one", "The broker runs on the same cores.")]


def _rows(contestants: list[Contestant]) -> tuple[Row, ...]:
    return tuple(Row(one.name, tuple(one.rates)) for one in contestants)


def _events(number: int) -> list[Event]:
    return [*(SiteConfigured(site=site, mode="face", policy=_POLICY) for site in _SITES), *crowd(number)]
