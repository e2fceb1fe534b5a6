"""What fits into one batch: rows that Kafka appends together, or not at all."""

from aiokafka.producer.message_accumulator import BatchBuilder

from models.ledger.rules.bounds import LARGEST_ROW_BYTES
from stream_processors.decider.batch import MOST_MESSAGES, RECORD_BATCH_BYTES, Batch, KeyValue
from stream_processors.decider.ledger import Folded, Message
from stream_processors.decider.outgoing import Outgoing

_LARGE = bytes(LARGEST_ROW_BYTES)


def message(offset: int) -> Message:
    return Message(0, offset, 0, b"")


def folded(*rows: tuple[bytes, bytes | None], sent: bytes = b"") -> Folded:
    return Folded((), [Outgoing("decisions", 0, b"site", sent)], dict(rows))


def filled(results: list[Folded]) -> Batch:
    """Of those that fit."""
    batch = Batch(0)
    for offset, result in enumerate(results):
        if not batch.has_room_for(result):
            break
        batch.add(message(offset), result, is_redelivered=False)
    return batch


def test_the_rows_and_the_records_of_a_full_batch_fit_into_one_record_batch_each() -> None:
    for size in (1, 100, 5_000, LARGEST_ROW_BYTES):
        results = [folded((b"%d" % n, bytes(size)), sent=bytes(size)) for n in range(MOST_MESSAGES + 1)]
        batch = filled(results)
        assert 1 <= batch.messages <= MOST_MESSAGES
        rows = [KeyValue(key, row) for key, row in batch.rows.items()]
        for some in (rows, batch.records["decisions", 0]):
            builder = BatchBuilder(RECORD_BATCH_BYTES, 0)
            assert all(builder.append(timestamp=None, key=one.key, value=one.value) for one in some)


def test_a_row_that_replaces_another_takes_its_room() -> None:
    batch = filled([folded((b"same", _LARGE)) for _ in range(10)])
    assert batch.messages == 10
    assert list(batch.rows) == [b"same"]


def test_a_removal_of_a_row_and_a_later_row_of_its_key_leave_the_later_one() -> None:
    batch = filled([folded((b"a", b"1")), folded((b"a", None), (b"b", b"2")), folded((b"a", b"3"))])
    assert batch.rows == {b"a": b"3", b"b": b"2"}


def test_the_first_result_has_room_however_large_it_is() -> None:
    many = [(b"%d" % n, _LARGE) for n in range(4)]
    batch = filled([folded(*many), folded((b"next", b""))])
    assert batch.messages == 1
