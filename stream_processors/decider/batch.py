"""What consecutive messages of one partition result in: the records to send, and the last row of each table key.

Kafka appends a record batch completely or not at all, and the rows of a `Batch` fit into one: a worker that is killed
leaves all of them in the changelog or none. So the offset in a row still means that everything up to it is there.
"""

from collections import defaultdict
from typing import NamedTuple

from models.contract.site_records import Headers
from stream_processors.decider.ledger import Folded, Message

__all__ = ["MOST_MESSAGES", "RECORD_BATCH_BYTES", "Batch", "KeyValue"]

RECORD_BATCH_BYTES = 768 * 1024
"""The largest record batch: two rows of the largest size, and below the 1 MiB that brokers accept by default
(`message.max.bytes`)."""
MOST_MESSAGES = 512
"""Messages that are folded before their records are sent: about 50 ms of work."""
_HEADER_BYTES = 61
"""Of a record batch, by Kafka's message format 2."""
_OVERHEAD_BYTES = 32
"""Of a record in it, at most: lengths, offset and time as varints."""


class KeyValue(NamedTuple):
    """A record to append."""

    key: bytes
    value: bytes | None
    headers: Headers = ()


class Batch:
    """Records and rows of messages that were folded; empty at first."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.records: defaultdict[tuple[str, int], list[KeyValue]] = defaultdict(list)
        """by topic and partition, in the order of the messages"""
        self.rows: dict[bytes, bytes | None] = {}
        """by table key: the last of each, removals (None) included"""
        self.messages = 0
        self.redelivered = 0
        """messages that were folded before"""
        self.dead_letters = 0
        self.offset = -1
        """of the last message"""
        self._record_bytes = self._row_bytes = _HEADER_BYTES

    def has_room_for(self, folded: Folded) -> bool:
        """Whether the result of one more message fits; that of the first always does."""
        if not self.messages:
            return True
        are_small = (
            self._record_bytes + _record_bytes(folded) <= RECORD_BATCH_BYTES
            and self._row_bytes + self._more_row_bytes(folded) <= RECORD_BATCH_BYTES
        )
        return are_small and self.messages < MOST_MESSAGES

    def add(self, message: Message, folded: Folded, *, is_redelivered: bool) -> None:
        """Add the result of the message that follows in the partition."""
        self._record_bytes += _record_bytes(folded)
        self._row_bytes += self._more_row_bytes(folded)
        for record in folded.records:
            self.records[record.topic, record.partition].append(KeyValue(record.key, record.value, record.headers))
        self.rows |= folded.rows
        self.messages += 1
        self.redelivered += is_redelivered
        self.dead_letters += folded.is_dead_letter
        self.offset = message.offset

    def _more_row_bytes(self, folded: Folded) -> int:
        replaced = sum(_size(key, self.rows[key]) for key in folded.rows.keys() & self.rows.keys())
        return sum(_size(key, row) for key, row in folded.rows.items()) - replaced


def _record_bytes(folded: Folded) -> int:
    return sum(_size(record.key, record.value) + _header_bytes(record.headers) for record in folded.records)


def _header_bytes(headers: Headers) -> int:
    return sum(len(name) + len(value) + _OVERHEAD_BYTES for name, value in headers)


def _size(key: bytes, value: bytes | None) -> int:
    return len(key) + len(value or b"") + _OVERHEAD_BYTES
