"""What a decision costs: time of the pure fold and of the ledger around it, and changelog records.

One thing grows in each table, and all else stays: the live templates of a site, the grants of one dispenser within a
window, the epochs that a site has behind it.
"""

import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

import numpy as np

from models.contract.codec import encode
from models.contract.face_models import FACE_MODELS
from models.contract.messages import ButtonPressed, Dispensed, FaceSeen
from models.contract.topics import Topics
from models.keys.seals import Keyring
from models.ledger.codec import decode_event
from models.ledger.events import EpochEnded, Event, Record, Reported, Requested, SiteConfigured, Ticked
from models.ledger.partition import Partition
from models.ledger.rules.policy import Policy
from stream_processors.decider.ledger import Ledger, Message, read
from tests.experiments.bench.parts import Part, Row

__all__ = ["fold"]

_CROWDS = (10, 1_000, 10_000)
_GRANTS = (10, 1_000, 10_000)
_EPOCHS = (1, 30, 300)
_MEASURED = 500
_MODEL = FACE_MODELS["synthetic/1"].id
_SECRET = b"s" * 32
_SITE = "crowd"
_TICK_MS = 5_000
_START = 1_700_000_000_000
_POLICY = Policy(portion_cm=9, limit_cm=9, dispenser_limit_cm=100_000, button_budget_cm=100_000)


class _CountingTable(dict[bytes, bytes]):
    """Counts what a changelog would get."""

    writes = 0
    written_bytes = 0

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.writes += 1
        self.written_bytes += len(key) + len(value)
        super().__setitem__(key, value)


def fold() -> list[Part]:
    """Measure all three."""
    return [
        *_parts("live templates", "a stranger's face, at one site", _CROWDS, _crowd),
        *_parts("grants in the window", "a button of one dispenser, each portion reported", _GRANTS, _busy_dispenser),
        *_parts("epochs ended", "a stranger's face, in the epoch after", _EPOCHS, _epochs),
    ]


def _parts(what: str, title: str, sizes: tuple[int, ...], stream: Callable[[int], Iterator[Message]]) -> Iterator[Part]:
    costs = {f"{size:,}": _cost(stream(size)) for size in sizes}
    base = next(iter(costs))
    written = ", ".join(f"{cost.records:g} of {cost.row_bytes:,} B" for cost in costs.values())
    yield Part(
        f"fold by {what}",
        f"the pure fold of {title}, p50",
        "us",
        tuple(Row(name, (cost.fold_us,)) for name, cost in costs.items()),
        base,
    )
    yield Part(
        f"fold and rows by {what}",
        f"decoding, fold and rows of {title}, p50",
        "us",
        tuple(Row(name, (cost.ledger_us,)) for name, cost in costs.items()),
        base,
        f"Rows a decision: {written}.",
    )


class _Cost(NamedTuple):
    """Of a request: microseconds of the fold and of the ledger around it, rows and their bytes."""

    fold_us: float
    ledger_us: float
    records: int
    row_bytes: int


def _cost(stream: Iterator[Message]) -> _Cost:
    partition, rows = Partition(_SECRET), _CountingTable()
    ledger = Ledger(_SECRET, Keyring(), Topics())
    ledger.begin(rows, [0])
    folds, ledgers, records, size = [], [], 0, 0
    for message in stream:
        record = Record(offset=message.offset, at=message.at, event=decode_event(message.value))
        before, before_bytes = rows.writes, rows.written_bytes
        fold_us = _timed(lambda: partition.fold(record))  # noqa: B023 - called immediately
        ledger_us = _timed(lambda: ledger.fold(message, read(message)))  # noqa: B023 - called immediately
        if isinstance(record.event, Requested):
            folds.append(fold_us)
            ledgers.append(ledger_us)
            records, size = max(records, rows.writes - before), rows.written_bytes - before_bytes
    return _Cost(median(folds[-_MEASURED:]), median(ledgers[-_MEASURED:]), records, size)


def _crowd(templates: int) -> Iterator[Message]:
    """Strangers come so often that so many of them are remembered at any time; ticks erase the others."""
    rng = np.random.default_rng(1)
    yield from _ticked((n * _POLICY.window_ms // templates, _face(rng, n)) for n in range(templates + _MEASURED))


def _busy_dispenser(grants: int) -> Iterator[Message]:
    """Press the button of one dispenser so often that so many portions count at any time."""

    def events() -> Iterator[tuple[int, Event]]:
        for n in range(grants + _MEASURED):
            at, request = n * _POLICY.window_ms // grants, f"request-{n:010}"
            yield at, Requested(site=_SITE, device="gate", request=ButtonPressed(id=request))
            yield at, Reported(site=_SITE, device="gate", report=Dispensed(number=n + 1, request=request, cm=9))

    yield from _ticked(events())


def _epochs(ended: int) -> Iterator[Message]:
    """A hundred strangers in each epoch, all within one window."""
    rng = np.random.default_rng(1)

    def events() -> Iterator[tuple[int, Event]]:
        for epoch in range(ended):
            for n in range(100):
                yield 0, _face(rng, 100 * epoch + n, epoch)
            yield 0, EpochEnded(site=_SITE, epoch=epoch)
        for n in range(_MEASURED):
            yield n, _face(rng, 100 * ended + n, ended)

    yield from _ticked(events())


def _ticked(events: Iterator[tuple[int, Event]]) -> Iterator[Message]:
    """Messages of one partition: the site's settings, the events at their milliseconds, and ticks."""
    messages = 0
    next_tick, at = _TICK_MS, 0

    def message(event: Event) -> Message:
        nonlocal messages
        messages += 1
        return Message(0, messages - 1, _START + at, encode(event))

    yield message(SiteConfigured(site=_SITE, mode="face", policy=_POLICY))
    for at, event in events:
        if at >= next_tick:
            next_tick = at + _TICK_MS
            yield message(Ticked())
        yield message(event)


def _face(rng: np.random.Generator, number: int, epoch: int = 0) -> Event:
    face = FaceSeen(id=f"request-{number:010}", model=_MODEL, epoch=epoch, template=rng.bytes(64))
    return Requested(site=_SITE, device=f"d{number % 200}", request=face)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - started) / 1000
