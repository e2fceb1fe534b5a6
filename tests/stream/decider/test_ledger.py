import pytest
from hypothesis import given

from models.contract.codec import encode
from models.contract.topics import Topics
from models.errors import MalformedMessage, Undecidable
from models.keys.seals import Keyring
from models.ledger.codec import decode_row
from models.ledger.events import Record, Ticked
from models.ledger.partition import Partition
from models.ledger.rows import PARTITION_KEY, DispenserAccount, PartitionRow, Row
from models.ledger.rules.bounds import LARGEST_ROW_BYTES
from stream_processors.decider.ledger import RECORD_BYTES, Folded, Ledger, Message, UnreadableRow, read
from tests.support.story import SECRET, SITE, Story, folded
from tests.unit.ledger.test_fold_properties import streams

Table = dict[bytes, bytes]


def message(record: Record, partition: int = 2) -> Message:
    return Message(partition, record.offset, record.at, encode(record.event))


def ledger_over(table: Table, *partitions: int) -> Ledger:
    ledger = Ledger(SECRET, Keyring(), Topics())
    ledger.begin(table, partitions or [2])
    return ledger


def fold(ledger: Ledger, one: Message) -> Folded:
    """Fold a message, or pass it over, as the agent does."""
    try:
        return ledger.fold(one, read(one))
    except (MalformedMessage, Undecidable) as error:
        return ledger.pass_over(one, str(error))


def day() -> Story:
    """A visitor asks by face, by button, is forgotten, and time passes."""
    story = Story()
    for person in ("ann", "bob", "ann"):
        story.face(person)
    story.button()
    story.forget("bob")
    story.wait(600)
    story.face("cid")
    story.tick()
    return story


@given(streams())
def test_the_table_holds_what_a_plain_fold_remembers_once_a_tick_has_swept_it(records: list[Record]) -> None:
    records = [*records, Record(offset=len(records), at=records[-1].at, event=Ticked())]
    table: Table = {}
    ledger = ledger_over(table)
    plain, decisions = folded(records)
    assert [fold(ledger, message(record)).outcomes for record in records] == [one.outcomes for one in decisions]
    rows = {key.decode(): decode_row(row) for key, row in table.items()}
    assert all(key.startswith("2/") for key in rows)
    accounts = {
        key.removeprefix("2/"): row for key, row in rows.items() if key.split("/")[1] in ("visitor", "dispenser")
    }
    assert accounts == plain.sites[SITE].accounts
    assert rows[f"2/site/{SITE}"] == plain.sites[SITE].settings


@given(streams())
def test_an_event_is_one_row_after_what_it_removes(records: list[Record]) -> None:
    table: Table = {}
    ledger = ledger_over(table)
    for record in records:
        *removed, last = fold(ledger, message(record)).rows.values()
        assert removed == [None] * len(removed)
        assert last
        assert decode_row(last).offset == record.offset


@given(streams())
def test_the_rows_of_all_messages_are_the_table(records: list[Record]) -> None:
    """Faust recovers from the rows what the ledger has in its table."""
    table: Table = {}
    changelog: dict[bytes, bytes | None] = {}
    ledger = ledger_over(table)
    for record in records:
        changelog |= fold(ledger, message(record)).rows
        assert {key: row for key, row in changelog.items() if row is not None} == table


def test_a_ledger_over_the_same_table_goes_on_where_the_other_ended() -> None:
    story = day()
    table: Table = {}
    for n, record in enumerate(story.records):
        ledger = ledger_over(table)
        assert ledger.partition(2).offset == n - 1
        assert fold(ledger, message(record)).outcomes == story.decisions[n].outcomes


def test_a_generation_lasts_from_a_recovery_to_a_revocation_and_none_comes_again() -> None:
    ledger = Ledger(SECRET, Keyring(), Topics())
    generations = [ledger.generation]
    for _ in range(2):
        ledger.begin({}, [2])
        generations.append(ledger.generation)
        ledger.end()
        generations.append(ledger.generation)
    assert generations == [None, 1, None, 2, None]


def test_after_a_revocation_nothing_of_a_partition_is_in_memory() -> None:
    ledger = ledger_over({})
    fold(ledger, message(day().records[0]))
    ledger.end()
    ledger.begin({}, [2])
    assert ledger.partition(2).offset == -1


def test_an_event_that_the_fold_fails_on_is_passed_over_and_the_next_one_is_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story = day()
    ledger = ledger_over({})
    first, poison, third, *_ = story.records
    fold(ledger, message(first))
    with monkeypatch.context() as patched:
        patched.setattr(Partition, "decide", lambda *_: 1 / 0)
        [letter] = fold(ledger, message(poison)).records
    assert letter.topic == Topics().dead_letters
    assert letter.value
    assert b"ZeroDivisionError" in letter.value
    assert ledger.partition(2).offset == poison.offset
    assert fold(ledger, message(third)).outcomes


def test_a_decision_that_fails_half_applied_leaves_the_partition_as_the_table_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story, table = day(), Table()
    ledger = ledger_over(table)
    first, poison, *_ = story.records
    fold(ledger, message(first))
    whole = Partition.apply
    with monkeypatch.context() as patched:
        patched.setattr(Partition, "apply", lambda *arguments: (whole(*arguments), 1 / 0))
        fold(ledger, message(poison))
    assert ledger.partition(2).sites[SITE].accounts == ledger_over(table).partition(2).sites[SITE].accounts == {}


def test_an_event_whose_row_kafka_would_refuse_is_a_dead_letter_and_changes_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story, table = day(), Table()
    ledger = ledger_over(table)
    first, large, third, *_ = story.records
    fold(ledger, message(first))
    before = dict(table)
    with monkeypatch.context() as patched:
        patched.setattr("stream_processors.decider.ledger.row_bytes", lambda _: bytes(RECORD_BYTES + 1))
        with pytest.raises(Undecidable, match=f"row of {RECORD_BYTES + 1} bytes"):
            ledger.fold(message(large), large.event)
    assert (table, ledger.partition(2).offset) == (before, first.offset)
    [letter] = ledger.pass_over(message(large), "too large").records
    assert (letter.topic, ledger.partition(2).offset) == (Topics().dead_letters, large.offset)
    assert fold(ledger, message(third)).outcomes


def test_every_row_that_the_fold_may_write_is_written() -> None:
    assert RECORD_BYTES >= LARGEST_ROW_BYTES


def test_what_was_folded_and_not_written_is_folded_again_to_the_same_bytes() -> None:
    story, table = day(), Table()
    ledger = ledger_over(table)
    *before, last = story.records
    for record in before:
        fold(ledger, message(record))
    kept = dict(table)
    assert fold(ledger, message(last)) == fold(ledger_over(kept), message(last))


def test_partitions_do_not_see_each_other() -> None:
    table: Table = {}
    ledger = ledger_over(table, 1, 2, 21)
    story = day()
    for partition in (2, 21, 1):
        for record, decision in zip(story.records, story.decisions, strict=True):
            assert fold(ledger, message(record, partition)).outcomes == decision.outcomes
    assert ledger_over(table).partition(2).sites[SITE].accounts == story.partition.sites[SITE].accounts


def test_a_redelivered_event_writes_nothing_and_is_answered_again() -> None:
    story = day()
    ledger = ledger_over({})
    for record in story.records:
        fold(ledger, message(record))
    again = [fold(ledger, message(record)) for record in story.records]
    assert not any(one.rows for one in again)
    assert any(one.records for one in again)


@pytest.mark.parametrize("value", [b"", b"{}", b"\xff", b'{"kind":"ticked","v":2}', b"[" * 5000])
def test_what_is_no_event_leaves_nothing_but_its_offset_and_the_next_one_is_folded(value: bytes) -> None:
    story, table = day(), Table()
    ledger = ledger_over(table)
    first, *rest = story.records
    fold(ledger, message(first))
    unreadable = Message(2, first.offset + 1, first.at, value)
    before = dict(table)
    assert [one.topic for one in fold(ledger, unreadable).records] == [Topics().dead_letters]
    assert ledger.partition(2).offset == unreadable.offset
    assert set(table.items()) - set(before.items()) == {(b"2/partition", table[b"2/partition"])}
    assert ledger_over(table).partition(2).offset == unreadable.offset
    plain = Partition(SECRET)
    plain.fold(first)
    for record in rest:
        later = Record(offset=record.offset + 1, at=record.at, event=record.event)
        assert fold(ledger, message(later)).outcomes == plain.fold(later).outcomes
    fold(ledger, unreadable)
    again = ledger_over(table).partition(2)
    assert (again.offset, again.sites[SITE].accounts) == (plain.offset, plain.sites[SITE].accounts)


@pytest.mark.parametrize(
    ("key", "row"),
    [
        (b"2/visitor2/park/abc", b'{"kind":"visitor2"}'),
        (b"2/dispenser/park/gate/first", encode(DispenserAccount(offset=1, at=1, entries=()))),
        (b"2/visitor/\xff", encode(PartitionRow(offset=1, at=1))),
    ],
    ids=["unknown kind", "bad part", "not UTF-8"],
)
def test_an_unreadable_row_is_named_before_anything_is_decided_on_the_table(key: bytes, row: bytes) -> None:
    table = {b"2/partition": encode(PartitionRow(offset=7, at=1)), key: row}
    ledger = Ledger(SECRET, Keyring(), Topics())
    with pytest.raises(UnreadableRow) as caught:
        ledger.begin(table, [1, 2])
    assert (caught.value.partition, caught.value.key) == (2, key)
    assert ledger.generation is None


def test_rows_of_other_partitions_are_not_read() -> None:
    row: Row = PartitionRow(offset=7, at=1)
    ledger = ledger_over({f"2/{PARTITION_KEY}".encode(): encode(row), b"3/visitor2/park/abc": b"{}"})
    assert ledger.partition(2).offset == 7
