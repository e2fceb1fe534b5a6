"""The decider without Faust: partitions in memory over a table of rows."""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import NamedTuple, Protocol, Self

import structlog
from aiokafka import ConsumerRecord
from msgspec import structs

from models.contract.codec import encode
from models.contract.dead_letters import DeadLetter
from models.contract.messages import FaceSeen, ForgetRequested
from models.contract.topics import Topics
from models.errors import FairrollError, MalformedMessage, Undecidable
from models.keys.seals import Sealed, binding
from models.ledger.codec import decode_event, decode_row
from models.ledger.decision import Decision
from models.ledger.events import Event, Record, Requested
from models.ledger.outcomes import Outcome
from models.ledger.partition import Partition
from models.ledger.rows import Row, VisitorAccount, site_of
from models.ledger.rules.bounds import LARGEST_ROW_BYTES
from stream_processors.decider.outgoing import Outgoing, outgoing

__all__ = [
    "RECORD_BYTES",
    "Folded",
    "Ledger",
    "Message",
    "UnreadableRow",
    "Unseal",
    "opened",
    "read",
    "row_bytes",
]

log = structlog.get_logger()

RECORD_BYTES = LARGEST_ROW_BYTES
"""The largest row or outcome that is written. The fold keeps to it; a row beyond it is a fault of ours."""


class Message(NamedTuple):
    """A record of the events topic as Kafka delivers it."""

    partition: int
    offset: int
    at: int
    """append time, milliseconds since 1970"""
    value: bytes

    @classmethod
    def of(cls, record: ConsumerRecord) -> Self:
        return cls(record.partition, record.offset, record.timestamp, record.value)


class Folded(NamedTuple):
    """What a message results in: records to send first, rows of the table to write when Kafka has them."""

    outcomes: tuple[Outcome, ...]
    records: list[Outgoing]
    rows: Mapping[bytes, bytes | None]
    """by table key, removals (None) first; empty for a message that was folded before"""
    is_dead_letter: bool = False


class Unseal(Protocol):
    """Holds the keys of the sites' templates."""

    def unseal(self, site: str, sealed: Sealed, bound_to: bytes, /) -> bytes | None:
        """Return the template; None if its key is destroyed."""
        ...


class UnreadableRow(FairrollError):
    """A row of the table cannot be decoded or restored."""

    def __init__(self, partition: int, key: bytes, reason: str) -> None:
        super().__init__(reason)
        self.partition = partition
        self.key = key
        """in the table; it may hold a pseudonym"""


def read(message: Message) -> Event:
    """Decode a message. Raises MalformedMessage where it is no event; then `pass_over` comes next."""
    return decode_event(message.value)


class Ledger:
    """Folds messages into partitions and keeps the table at the state of the last message folded.

    Faust recovers the table from its changelog; the caller writes the rows of each message to that changelog once Kafka
    has the message's records. A worker that is killed in between folds the message again, to the same bytes.
    """

    def __init__(self, pipeline_secret: bytes, keys: Unseal, topics: Topics) -> None:
        self._table: MutableMapping[bytes, bytes] = {}
        self._secret = pipeline_secret
        self._keys = keys
        self._topics = topics
        self._partitions: dict[int, Partition] = {}
        self._generations = 0
        self._is_complete = False

    def fold(self, message: Message, event: Event) -> Folded:
        """Decide the event of a message.

        Raises Undecidable where the fold fails, or where a row or an outcome is too large to be written. That is our
        fault, nothing has changed then, and `pass_over` comes next.
        """
        record = Record(offset=message.offset, at=message.at, event=opened(event, self._keys))
        with _undecidable(message):
            decision = self.partition(message.partition).decide(record)
            folded = self._folded(message.partition, decision)
            self._apply(message.partition, decision)
        self._store(folded)
        return folded

    def pass_over(self, message: Message, reason: str) -> Folded:
        """Remember the offset of a message that cannot be folded, and describe it in a dead letter."""
        source = f"{self._topics.events}/{message.partition}/{message.offset}"
        log.error("dead letter", source=source, reason=reason)
        letter = DeadLetter.of(source, message.value, reason, self._topics)
        decision = self.partition(message.partition).pass_over(message.offset, message.at)
        folded = self._folded(message.partition, decision)
        self._store(folded)
        record = Outgoing(self._topics.dead_letters, 0, source.encode(), encode(letter))  # a topic of one partition
        return folded._replace(records=[record], is_dead_letter=True)

    def partition(self, number: int) -> Partition:
        """The partition in memory, restored from the table where it is not. Raises UnreadableRow."""
        if number not in self._partitions:
            self._partitions[number] = self._restored(number)
        return self._partitions[number]

    def next_offset(self, number: int) -> int:
        """The offset that follows the one folded last: 0 in a partition where none was."""
        return self.partition(number).offset + 1

    @property
    def generation(self) -> int | None:
        """The number of the present assignment of partitions; None between a revocation and the end of a recovery.

        Only while it is the same as before an `await` may what follows be folded or written.
        """
        return self._generations if self._is_complete else None

    def begin(self, table: MutableMapping[bytes, bytes], numbers: Iterable[int]) -> None:
        """Restore the partitions of a new assignment from the recovered table. Raises UnreadableRow."""
        self._table = table
        self._partitions.clear()
        for number in numbers:
            self.partition(number)
        self._generations += 1
        self._is_complete = True

    def reread(self) -> None:
        """Restore every partition from the table again, with the keys that are there now."""
        self._partitions.clear()

    def end(self) -> None:
        """Partitions were revoked: drop their memory and fold nothing until the next `begin`."""
        self._table = {}
        self._partitions.clear()
        self._is_complete = False

    def _folded(self, number: int, decision: Decision) -> Folded:
        """Raises Undecidable where something cannot be written."""
        records = [outgoing(outcome, self._topics, number) for outcome in decision.outcomes]
        rows: dict[bytes, bytes | None] = dict.fromkeys(_table_key(number, key) for key in decision.removed)
        if decision.row is not None:
            rows[_table_key(number, decision.key)] = row_bytes(decision.row)
        for what, values in (("outcome", (record.value for record in records)), ("row", rows.values())):
            size = max((len(value) for value in values if value is not None), default=0)
            if size > RECORD_BYTES:
                raise Undecidable(f"{what} of {size} bytes, at most {RECORD_BYTES} are written")
        return Folded(decision.outcomes, records, rows)

    def _apply(self, number: int, decision: Decision) -> None:
        try:
            self._partitions[number].apply(decision)
        except Exception:
            del self._partitions[number]  # half of the decision may be applied: restore it from the table
            raise

    def _store(self, folded: Folded) -> None:
        for key, row in folded.rows.items():
            if row is None:
                self._table.pop(key, None)
            else:
                self._table[key] = row

    def _restored(self, number: int) -> Partition:
        prefix, reading = _table_key(number, ""), b""

        def rows() -> Iterator[tuple[str, Row]]:
            nonlocal reading
            for reading, value in self._table.items():
                if reading.startswith(prefix):
                    key = reading[len(prefix) :].decode()
                    yield key, _opened_row(key, decode_row(value), self._keys)

        try:
            return Partition(self._secret, rows())
        except MalformedMessage as error:
            raise UnreadableRow(number, reading, str(error)) from None
        except Exception as error:
            log.exception("row cannot be restored", partition=number)
            raise UnreadableRow(number, reading, f"the decider fails on it: {type(error).__name__}") from error


def opened(event: Event, keys: Unseal) -> Event:
    """Put the template back into a request that carries it sealed; without its key there is none."""
    if not isinstance(event, Requested) or event.sealed is None:
        return event
    request = event.request
    if not isinstance(request, FaceSeen | ForgetRequested):
        return event
    template = keys.unseal(event.site, event.sealed, binding(event.site, event.device, request.id))
    return structs.replace(event, request=structs.replace(request, template=template))


def row_bytes(row: Row) -> bytes:
    """A row as it is written: of a sealed template nothing but what is sealed."""
    if isinstance(row, VisitorAccount) and row.sealed is not None:
        row = structs.replace(row, template=None)
    return encode(row)


@contextmanager
def _undecidable(message: Message) -> Iterator[None]:
    """Turn whatever fails on a message into Undecidable, with a reason that quotes nothing of it."""
    try:
        yield
    except Undecidable:
        raise
    except Exception as error:
        log.exception("undecidable event", partition=message.partition, offset=message.offset)
        raise Undecidable(f"the decider fails on it: {type(error).__name__}") from error


def _opened_row(key: str, row: Row, keys: Unseal) -> Row:
    if not isinstance(row, VisitorAccount) or row.sealed is None:
        return row
    site, last = site_of(key), row.entries[-1]
    return structs.replace(row, template=keys.unseal(site, row.sealed, binding(site, last.device, last.id)))


def _table_key(partition: int, key: str) -> bytes:
    """Keys carry the partition, so that those of a revoked one can be dropped."""
    return f"{partition}/{key}".encode()
