"""The decider without Faust: partitions in memory over a table of rows."""

from collections.abc import MutableMapping
from typing import NamedTuple, Protocol

import structlog
from msgspec import structs

from models.contract.codec import encode
from models.contract.messages import FaceSeen, ForgetAsked
from models.errors import Undecidable
from models.keys.seals import Sealed, binding
from models.ledger.codec import decode_event, decode_row
from models.ledger.decision import Decision
from models.ledger.events import Event, Record, Requested
from models.ledger.partition import Partition
from models.ledger.rows import Row, VisitorAccount, site_of

__all__ = ["Ledger", "Message", "Unseal", "opened", "read", "row_bytes"]

log = structlog.get_logger()


class Message(NamedTuple):
    """A record of `fairroll.events` as Kafka hands it over."""

    partition: int
    offset: int
    at: int
    """append time, milliseconds since 1970"""
    value: bytes


def read(message: Message) -> Record:
    """Raises MalformedMessage where it is no event; then `pass_over` comes next."""
    return Record(offset=message.offset, at=message.at, event=decode_event(message.value))


class Unseal(Protocol):
    """Whatever has the keys of the sites' templates."""

    def unseal(self, site: str, sealed: Sealed, bound_to: bytes, /) -> bytes | None:
        """The template; None where its key is gone."""
        ...


class Ledger:
    """Folds messages; writes their rows to `table`: removed rows first, then the one that carries the offset.

    Folding and writing are two steps, for what is said goes to Kafka first: a worker that is killed between the two
    decides again, and alike. The other way round a decision could be remembered that nobody ever heard.
    """

    def __init__(self, table: MutableMapping[bytes, bytes], pipeline_secret: bytes, keys: Unseal) -> None:
        self._table = table
        self._secret = pipeline_secret
        self._keys = keys
        self._partitions: dict[int, Partition] = {}
        self._is_complete = False

    def fold(self, number: int, record: Record) -> Decision:
        """Decide a record of a partition, in memory; `write` comes next.

        Raises Undecidable where the fold fails on it, which is a fault of ours; then `pass_over` comes next.
        """
        record = structs.replace(record, event=opened(record.event, self._keys))
        try:
            return self.partition(number).fold(record)
        except Exception as error:
            log.exception("undecidable event", partition=number, offset=record.offset)
            del self._partitions[number]  # it may have taken over half of a row: read it from the table again
            raise Undecidable(f"the decider fails on it: {type(error).__name__}") from error

    def pass_over(self, message: Message) -> Decision:
        """Remember a message by its offset alone, in memory, so that the partition goes on; `write` comes next."""
        return self.partition(message.partition).pass_over(message.offset, message.at)

    def write(self, number: int, decision: Decision) -> None:
        """Write what was decided in a partition."""
        for key in decision.removed:
            del self._table[_table_key(number, key)]
        if decision.row is not None:
            self._table[_table_key(number, decision.key)] = row_bytes(decision.row)

    def partition(self, number: int) -> Partition:
        """The partition in memory, rebuilt from the table where it is not."""
        if number not in self._partitions:
            prefix = _table_key(number, "")
            rows = ((k[len(prefix) :].decode(), v) for k, v in self._table.items() if k.startswith(prefix))
            opened_rows = ((key, _opened_row(key, decode_row(row), self._keys)) for key, row in rows)
            self._partitions[number] = Partition(self._secret, opened_rows)
        return self._partitions[number]

    def next_offset(self, number: int) -> int:
        """The offset that follows the one folded last: 0 in a partition where nothing was."""
        return self.partition(number).offset + 1

    @property
    def is_complete(self) -> bool:
        """Whether the table holds all rows of the partitions that are ours; before, nothing may be decided."""
        return self._is_complete

    def begin(self) -> None:
        """The table has been recovered: decide on it from now on."""
        self._partitions.clear()
        self._is_complete = True

    def reread(self) -> None:
        """Read every row from the table again, with the keys that there are now."""
        self._partitions.clear()

    def end(self) -> None:
        """Partitions were revoked: forget what was in memory, decide nothing until the next `begin`."""
        self._partitions.clear()
        self._is_complete = False


def opened(event: Event, keys: Unseal) -> Event:
    """Put the template back into a request that carries it sealed; where its key is gone, there is none."""
    if not isinstance(event, Requested) or event.sealed is None:
        return event
    request = event.request
    if not isinstance(request, FaceSeen | ForgetAsked):
        return event
    template = keys.unseal(event.site, event.sealed, binding(event.site, event.device, request.id))
    return structs.replace(event, request=structs.replace(request, template=template))


def row_bytes(row: Row) -> bytes:
    """A row as it is written: of a sealed template nothing but what is sealed."""
    if isinstance(row, VisitorAccount) and row.sealed is not None:
        row = structs.replace(row, template=None)
    return encode(row)


def _opened_row(key: str, row: Row, keys: Unseal) -> Row:
    if not isinstance(row, VisitorAccount) or row.sealed is None:
        return row
    site, last = site_of(key), row.entries[-1]
    return structs.replace(row, template=keys.unseal(site, row.sealed, binding(site, last.device, last.id)))


def _table_key(partition: int, key: str) -> bytes:
    """Rows are told apart by partition, so that those of a revoked one can be dropped."""
    return f"{partition}/{key}".encode()
