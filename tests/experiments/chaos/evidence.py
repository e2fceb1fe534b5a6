"""What Kafka has: the events, what a plain fold makes of them, and what the deciders sent and wrote.

Pure: records go in, in the order of their partitions; the books grow from segment to segment of a run.
"""

from collections.abc import Iterable
from typing import NamedTuple

from models.contract.codec import encode
from models.contract.messages import Declined, Dispensed, LocalRation, Report, Stock
from models.errors import MalformedMessage
from models.keys.seal_chain import minute_of
from models.ledger.codec import decode_event, decode_outcome
from models.ledger.decision import Decision
from models.ledger.events import Record, Reported, Requested
from models.ledger.outcomes import Answered, ControlChanged, Receipt, ReportKept, SiteRegistered
from models.ledger.partition import Partition
from stream_processors.decider.ledger import Unseal, opened, row_bytes
from tests.experiments.chaos.probes import PROBE

__all__ = ["Books", "Kept", "Spot"]


class Spot(NamedTuple):
    """Where an event lies."""

    partition: int
    offset: int


class Kept(NamedTuple):
    """A record in Kafka; `value` is None for a tombstone."""

    partition: int
    offset: int
    at: int
    key: bytes
    value: bytes | None


class Books:
    """`turn_page` begins a new segment: what is fresh is what came since then."""

    def __init__(self, pipeline_secret: bytes, keys: Unseal) -> None:
        self.rows: dict[bytes, bytes] = {}
        """of a plain fold, keyed like the changelog"""
        self.changelog: dict[bytes, bytes] = {}
        """the last row of each key"""
        self.expected: dict[Spot, tuple[bytes, ...]] = {}
        """outcomes of a plain fold, for each event"""
        self.sent: dict[Spot, set[bytes]] = {}
        """outcomes that deciders sent, for each event"""
        self.sent_later: set[bytes] = set()
        """those sent in a later minute than the event's: a seal key may have gone in between"""
        self.answers: dict[str, set[Spot]] = {}
        """where each request was decided, repetitions apart"""
        self.repeated: set[str] = set()
        """requests that got an answer again"""
        self.reports: dict[str, list[tuple[Spot, Report]]] = {}
        """what the motor did, by request"""
        self.kept_cm: dict[Spot, int] = {}
        self.probes: set[tuple[str, int]] = set()
        self.fresh: set[Spot] = set()
        self.requests: set[str] = set()
        """fresh ones"""
        self._secret = pipeline_secret
        self._keys = keys
        self._partitions: dict[int, Partition] = {}

    def turn_page(self) -> None:
        self.fresh.clear()
        self.requests.clear()

    def add_events(self, records: Iterable[Kept]) -> None:
        """Fold them plainly, and remember who asked and what was reported."""
        for kept in records:
            spot = Spot(kept.partition, kept.offset)
            self.fresh.add(spot)
            partition = self._partitions.setdefault(kept.partition, Partition(self._secret))
            try:
                event = opened(decode_event(kept.value or b""), self._keys)
            except MalformedMessage:
                self._write(kept.partition, partition.pass_over(kept.offset, kept.at))
                continue
            self._remember(spot, event)
            decision = partition.fold(Record(offset=kept.offset, at=kept.at, event=event))
            elsewhere = ControlChanged | SiteRegistered | Receipt
            outcomes = (outcome for outcome in decision.outcomes if not isinstance(outcome, elsewhere))
            self.expected[spot] = tuple(encode(outcome) for outcome in outcomes)
            self._write(kept.partition, decision)

    def add_decisions(self, records: Iterable[Kept]) -> None:
        for kept in records:
            outcome = decode_outcome(kept.value or b"")
            spot = Spot(kept.partition, outcome.offset)
            self.fresh.add(spot)
            self.sent.setdefault(spot, set()).add(kept.value or b"")
            if minute_of(kept.at) > minute_of(outcome.at):
                self.sent_later.add(kept.value or b"")
            match outcome:
                case Answered(repeated=True):
                    self.repeated.add(outcome.command.request)
                case Answered():
                    self.answers.setdefault(outcome.command.request, set()).add(spot)
                case ReportKept():
                    self.kept_cm[spot] = max(self.kept_cm.get(spot, 0), outcome.cm)
                case _:
                    pass

    def add_rows(self, records: Iterable[Kept]) -> None:
        for kept in records:
            if kept.value is None:
                self.changelog.pop(kept.key, None)
            else:
                self.changelog[kept.key] = kept.value

    def _remember(self, spot: Spot, event: object) -> None:
        match event:
            case Requested():
                self.requests.add(event.request.id)
            case Reported(device=device, report=Stock(number=number)) if device == PROBE:
                self.probes.add((event.site, number))
            case Reported(report=Dispensed() | LocalRation() | Declined() as report):
                self.reports.setdefault(report.request, []).append((spot, report))
            case _:
                pass

    def _write(self, partition: int, decision: Decision) -> None:
        for key in decision.removed:
            self.rows.pop(f"{partition}/{key}".encode(), None)
        if decision.row is not None:
            self.rows[f"{partition}/{decision.key}".encode()] = row_bytes(decision.row)
