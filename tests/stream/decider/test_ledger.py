from collections.abc import Iterator, MutableMapping

import pytest
from hypothesis import given

from models.contract.codec import encode
from models.errors import MalformedMessage, Undecidable
from models.keys.seals import Keyring
from models.ledger.codec import decode_row
from models.ledger.decision import Decision
from models.ledger.events import Record, Ticked
from models.ledger.partition import Partition
from stream_processors.decider.ledger import Ledger, Message, read
from tests.support.story import SECRET, SITE, Story, folded
from tests.unit.ledger.test_fold_properties import streams


class Table(MutableMapping[bytes, bytes]):
    """A dictionary that tells what was done to it, in order."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.done: list[tuple[str, bytes]] = []

    def __setitem__(self, key: bytes, row: bytes) -> None:
        self.done.append(("put", key))
        self.rows[key] = row

    def __delitem__(self, key: bytes) -> None:
        self.done.append(("remove", key))
        del self.rows[key]

    def __getitem__(self, key: bytes) -> bytes:
        return self.rows[key]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def message(record: Record, partition: int = 2) -> Message:
    return Message(partition, record.offset, record.at, encode(record.event))


def fold(ledger: Ledger, one: Message) -> Decision:
    """Decide and write, as a worker does that nothing interrupts."""
    try:
        decision = ledger.fold(one.partition, read(one))
    except (MalformedMessage, Undecidable):
        ledger.write(one.partition, ledger.pass_over(one))
        raise
    ledger.write(one.partition, decision)
    return decision


def day() -> Story:
    """Somebody asks by face, by button, is forgotten, and time passes."""
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
    records = [*records, Record(offset=len(records), at=0, event=Ticked())]
    table = Table()
    ledger = Ledger(table, SECRET, Keyring())
    plain, decisions = folded(records)
    assert [fold(ledger, message(record)) for record in records] == decisions
    rows = {key.decode(): decode_row(row) for key, row in table.items()}
    assert all(key.startswith("2/") for key in rows)
    accounts = {
        key.removeprefix("2/"): row for key, row in rows.items() if key.split("/")[1] in ("visitor", "dispenser")
    }
    assert accounts == plain.sites[SITE].accounts
    assert rows[f"2/site/{SITE}"] == plain.sites[SITE].settings


@given(streams())
def test_an_event_is_one_put_after_what_it_removes(records: list[Record]) -> None:
    table = Table()
    ledger = Ledger(table, SECRET, Keyring())
    for record in records:
        table.done.clear()
        decision = fold(ledger, message(record))
        assert [what for what, _ in table.done] == ["remove"] * len(decision.removed) + ["put"]
        assert decode_row(table[table.done[-1][1]]).offset == record.offset


def test_a_ledger_over_the_same_table_goes_on_where_the_other_ended() -> None:
    story = day()
    table = Table()
    for n, record in enumerate(story.records):
        ledger = Ledger(table, SECRET, Keyring())
        assert ledger.partition(2).offset == n - 1
        assert fold(ledger, message(record)) == story.decisions[n]


def test_after_a_recovery_a_partition_is_read_from_the_table_again() -> None:
    story = day()
    table = Table()
    ledger = Ledger(table, SECRET, Keyring())
    for record, decision in zip(story.records, story.decisions, strict=True):
        assert fold(ledger, message(record)) == decision
        ledger.begin()
    table.rows.clear()
    ledger.begin()
    assert ledger.partition(2).offset == -1


def test_between_a_revocation_and_the_next_recovery_nothing_may_be_decided() -> None:
    ledger = Ledger(Table(), SECRET, Keyring())
    complete = [ledger.is_complete]
    ledger.begin()
    complete.append(ledger.is_complete)
    ledger.end()
    assert [*complete, ledger.is_complete] == [False, True, False]


def test_after_a_revocation_nothing_of_a_partition_is_in_memory() -> None:
    table = Table()
    ledger = Ledger(table, SECRET, Keyring())
    fold(ledger, message(day().records[0]))
    ledger.end()
    table.rows.clear()
    assert ledger.partition(2).offset == -1


def test_an_event_that_the_fold_fails_on_is_passed_over_and_the_next_one_is_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story = day()
    ledger = Ledger(Table(), SECRET, Keyring())
    first, poison, third, *_ = story.records
    fold(ledger, message(first))
    with monkeypatch.context() as patched:
        patched.setattr(Partition, "decide", lambda *_: 1 / 0)
        with pytest.raises(Undecidable, match="ZeroDivisionError"):
            fold(ledger, message(poison))
    assert ledger.partition(2).offset == poison.offset
    assert fold(ledger, message(third)).outcomes


def test_what_was_said_and_not_written_is_decided_again_and_alike() -> None:
    story = day()
    table = Table()
    ledger = Ledger(table, SECRET, Keyring())
    *before, last = story.records
    for record in before:
        fold(ledger, message(record))
    said = ledger.fold(2, last)
    assert fold(Ledger(table, SECRET, Keyring()), message(last)) == said


def test_partitions_do_not_see_each_other() -> None:
    table = Table()
    ledger = Ledger(table, SECRET, Keyring())
    story = day()
    for partition in (2, 21, 1):
        for record, decision in zip(story.records, story.decisions, strict=True):
            assert fold(ledger, message(record, partition)) == decision
    assert Ledger(table, SECRET, Keyring()).partition(2).sites[SITE].accounts == story.partition.sites[SITE].accounts


def test_a_redelivered_event_writes_nothing_and_is_answered_again() -> None:
    story = day()
    table = Table()
    ledger = Ledger(table, SECRET, Keyring())
    for record in story.records:
        fold(ledger, message(record))
    table.done.clear()
    for record in story.records:
        fold(ledger, message(record))
    assert table.done == []


@pytest.mark.parametrize("value", [b"", b"{}", b"\xff", b'{"kind":"ticked","v":2}', b"[" * 5000])
def test_what_is_no_event_leaves_nothing_but_its_offset_and_the_next_one_is_folded(value: bytes) -> None:
    story = day()
    table = Table()
    ledger = Ledger(table, SECRET, Keyring())
    first, *rest = story.records
    fold(ledger, message(first))
    unreadable = Message(2, first.offset + 1, first.at, value)
    before = dict(table.rows)
    with pytest.raises(MalformedMessage):
        fold(ledger, unreadable)
    assert ledger.partition(2).offset == unreadable.offset
    assert set(table.rows.items()) - set(before.items()) == {(b"2/partition", table[b"2/partition"])}
    ledger.begin()
    assert ledger.partition(2).offset == unreadable.offset
    plain = Partition(SECRET)
    plain.fold(first)
    for record in rest:
        later = Record(offset=record.offset + 1, at=record.at, event=record.event)
        assert fold(ledger, message(later)) == plain.fold(later)
    with pytest.raises(MalformedMessage):
        fold(ledger, unreadable)
    ledger.begin()
    assert (ledger.partition(2).offset, ledger.partition(2).sites[SITE].accounts) == (
        plain.offset,
        plain.sites[SITE].accounts,
    )
