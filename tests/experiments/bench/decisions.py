"""What a decision costs at a site with a crowd: time of the pure fold, and changelog records."""

import time
from collections.abc import Callable, Iterator
from statistics import median

import numpy as np
from rich.table import Table

from models.contract.codec import encode
from models.contract.face_models import FACE_MODELS
from models.contract.messages import FaceSeen
from models.contract.topics import Topics
from models.keys.seals import Keyring
from models.ledger.codec import decode_event
from models.ledger.events import Event, Record, Requested, SiteConfigured, Ticked
from models.ledger.outcomes import SiteCounted
from models.ledger.partition import Partition
from models.ledger.policy import Policy
from stream_processors.decider.ledger import Ledger, Message, read

__all__ = ["table"]

_CROWDS = (10, 1_000, 10_000)
_MEASURED = 500
_MODEL = FACE_MODELS["synthetic/1"].id
_SECRET = b"s" * 32
_TICK_MS = 5_000
_START = 1_700_000_000_000


class _CountingTable(dict[bytes, bytes]):
    """Counts what a changelog would get."""

    writes = 0
    written_bytes = 0

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.writes += 1
        self.written_bytes += len(key) + len(value)
        super().__setitem__(key, value)


def table() -> Table:
    heads = ("live templates", "fold us p50", "to the first", "fold and rows us p50", "changelog records a decision")
    rows = Table(*heads, title="a decision on a stranger's face, at one site", title_justify="left")
    first = 0.0
    for crowd in _CROWDS:
        fold_us, ledger_us, records, size = _cost(crowd)
        first = first or fold_us
        ratio = f"{fold_us / first:.1f}x"
        rows.add_row(f"{crowd:,}", f"{fold_us:.0f}", ratio, f"{ledger_us:.0f}", f"{records:g} of {size} B")
    return rows


def _cost(crowd: int) -> tuple[float, float, float, int]:
    """Microseconds of the fold and of the ledger, changelog records and their bytes, for each decision.

    Strangers come so often that `crowd` of them are remembered at any time; ticks erase the others.
    """
    rng = np.random.default_rng(1)
    partition, rows = Partition(_SECRET), _CountingTable()
    ledger = Ledger(_SECRET, Keyring(), Topics())
    ledger.begin(rows, [0])
    folds, ledgers, records, size = [], [], 0, 0
    policy = Policy(dispenser_limit_cm=100_000)
    for message in _stream(rng, crowd, policy):
        record = Record(offset=message.offset, at=message.at, event=decode_event(message.value))
        before, before_bytes = rows.writes, rows.written_bytes
        fold_us = _timed(lambda: partition.fold(record))  # noqa: B023 - called at once
        ledger_us = _timed(lambda: ledger.fold(message, read(message)))  # noqa: B023 - called at once
        if isinstance(record.event, Requested):
            folds.append(fold_us)
            ledgers.append(ledger_us)
            records, size = max(records, rows.writes - before), rows.written_bytes - before_bytes
    [counted] = partition.decide(Record(offset=1 << 40, at=message.at, event=Ticked())).outcomes
    assert isinstance(counted, SiteCounted)
    assert abs(counted.templates - crowd) <= 1
    return median(folds[-_MEASURED:]), median(ledgers[-_MEASURED:]), records, size


def _stream(rng: np.random.Generator, crowd: int, policy: Policy) -> Iterator[Message]:
    yield Message(0, 0, _START, encode(SiteConfigured(site="crowd", mode="face", policy=policy)))
    offset, ticked = 0, _START
    for number in range(crowd + _MEASURED):
        at = _START + number * policy.window_ms // crowd
        if at - ticked >= _TICK_MS:
            offset, ticked = offset + 1, at
            yield Message(0, offset, at, encode(Ticked()))
        offset += 1
        yield Message(0, offset, at, encode(_face(rng, number)))


def _face(rng: np.random.Generator, number: int) -> Event:
    face = FaceSeen(id=f"request-{number:010}", model=_MODEL, template=rng.bytes(64))
    return Requested(site="crowd", device=f"d{number % 200}", request=face)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - started) / 1000
