"""The decider without Faust: partitions in memory over a table of rows."""

from collections.abc import Collection, MutableMapping
from typing import NamedTuple

from models.codec import decode_event, decode_row, encode
from models.decision import Decision
from models.errors import MalformedMessage
from models.events import Record
from models.partition import Partition

__all__ = ["Ledger", "Message"]


class Message(NamedTuple):
    """A record of `fairroll.events` as Kafka hands it over."""

    partition: int
    offset: int
    at: int
    """append time, milliseconds since 1970"""
    value: bytes


class Ledger:
    """Folds messages and writes their rows to `table`: removed rows first, then the one that carries the offset."""

    def __init__(self, table: MutableMapping[bytes, bytes], pipeline_secret: bytes) -> None:
        self._table = table
        self._secret = pipeline_secret
        self._partitions: dict[int, Partition] = {}
        self._is_complete = False

    def fold(self, message: Message) -> Decision:
        """Decide a message; raises MalformedMessage where it is no event, which is remembered by its offset alone."""
        partition = self.partition(message.partition)
        try:
            event = decode_event(message.value)
        except MalformedMessage:
            self._write(message.partition, partition.pass_over(message.offset, message.at))
            raise
        decision = partition.fold(Record(offset=message.offset, at=message.at, event=event))
        self._write(message.partition, decision)
        return decision

    def partition(self, number: int) -> Partition:
        """The partition in memory, rebuilt from the table where it is not."""
        if number not in self._partitions:
            prefix = _table_key(number, "")
            rows = ((k[len(prefix) :].decode(), decode_row(v)) for k, v in self._table.items() if k.startswith(prefix))
            self._partitions[number] = Partition(self._secret, rows)
        return self._partitions[number]

    def next_offset(self, number: int) -> int:
        """The offset that follows the one folded last: 0 in a partition where nothing was."""
        return self.partition(number).offset + 1

    @property
    def is_complete(self) -> bool:
        """Whether the table holds all rows of the partitions that are ours; before, nothing may be decided."""
        return self._is_complete

    def begin(self, numbers: Collection[int]) -> list[bytes]:
        """The table has been recovered for these partitions: decide on it from now on.

        Returns the keys of rows that are left of other partitions, for the caller to drop.
        """
        self._partitions.clear()
        self._is_complete = True
        ours = tuple(_table_key(number, "") for number in numbers)
        return [key for key in self._table if not key.startswith(ours)]

    def end(self) -> None:
        """Partitions were revoked: decide nothing until the next `begin`."""
        self._is_complete = False

    def _write(self, number: int, decision: Decision) -> None:
        for key in decision.removed:
            del self._table[_table_key(number, key)]
        if decision.row is not None:
            self._table[_table_key(number, decision.key)] = encode(decision.row)


def _table_key(partition: int, key: str) -> bytes:
    """Rows are told apart by partition, so that those of a revoked one can be dropped."""
    return f"{partition}/{key}".encode()
