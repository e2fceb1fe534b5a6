"""The agent without Faust and Kafka: batches next to single events, rebalances during its awaits, crashes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from models.contract.codec import encode
from models.ledger.events import Event, Record
from models.settings import Settings
from stream_processors.decider import agent, gap_repair
from stream_processors.decider.agent import Decider
from stream_processors.decider.batch import KeyValue
from stream_processors.decider.faust_producer import Records
from stream_processors.decider.ledger import Message
from stream_processors.decider.watchdog import Watchdog
from stream_processors.runtime.health import Health
from tests.support.story import SECRET, Story
from tests.unit.ledger.test_fold_properties import streams

TOPICS = Settings().topics
_Sent = dict[tuple[str, int], list[KeyValue]]


@pytest.fixture(autouse=True)
def _raise_instead_of_an_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(reason: str, **fields: object) -> NoReturn:
        raise AssertionError(reason, fields)

    monkeypatch.setattr(agent, "give_up", give_up)


class App:
    """What the agent uses of a Faust application, for one partition: Kafka's log and the committed offset."""

    def __init__(self, changelog: Iterable[tuple[bytes, bytes | None]] = ()) -> None:
        self.sent: _Sent = {}
        self.changelog = list(changelog)
        self.committed = 0
        self.writes = 0
        """requests that Kafka has acknowledged"""
        self.before_acknowledgement: Callable[[], Awaitable[None]] | None = None
        self.data: dict[bytes, bytes] = {key: row for key, row in dict(self.changelog).items() if row is not None}
        self.active_offsets: dict[object, int] = {}
        self.consumer = self.producer = self.tables = self.recovery = self

    def topic(self, *_: object, **__: object) -> None:
        return None

    def Table(self, *_: object, **__: object) -> "App":  # noqa: N802 - Faust's name
        return self

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(TOPICS.events, 0)}

    async def send_all(self, records: Records) -> Awaitable[None]:
        for place, some in records.items():
            if place == (TOPICS.accounts_changelog, 0):
                self.changelog += [(record.key, record.value) for record in some]
            else:
                self.sent.setdefault(place, []).extend(some)
        return _Acknowledgement(self)

    async def acknowledge(self) -> None:
        self.writes += 1
        if self.before_acknowledgement:
            await self.before_acknowledgement()

    def done(self, _: str, __: int, offset: int) -> None:
        self.committed = offset + 1

    @property
    def table(self) -> dict[bytes, bytes | None]:
        return dict(self.changelog)


class _Acknowledgement:
    """Kafka has the records once this is awaited."""

    def __init__(self, app: App) -> None:
        self._app = app

    def __await__(self) -> Any:
        return self._app.acknowledge().__await__()


class Keys:
    """Keys for which the agent has to wait; `meanwhile` happens then."""

    is_unreachable = False

    def __init__(self) -> None:
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def ready(self) -> None:
        pass

    async def fetch_for(self, _: Event) -> None:
        if self.meanwhile:
            await self.meanwhile()

    def unseal(self, *_: object) -> None:
        return None

    def destroy(self, _: str) -> None:
        pass


class Fetched:
    """A record of Kafka, and a message of Faust that carries some."""

    def __init__(self, record: Record | None = None, *, batch: Sequence["Fetched"] = (), value: bytes = b"") -> None:
        self.partition = 0
        self.records, self.message = batch, self
        if record:
            self.offset, self.timestamp = record.offset, record.at
            self.value = value or encode(record.event)

    def ack(self) -> None:
        pass


class Stream:
    """Delivers batches as Faust does."""

    def __init__(self, *batches: Sequence[Fetched]) -> None:
        self._batches = batches

    def noack(self) -> "Stream":
        return self

    async def events(self) -> Any:
        for batch in self._batches:
            yield Fetched(batch=batch)


class Crash(BaseException):
    """The worker is killed: nothing catches it."""


def decider_of(app: App, folder: Path = Path("/nonexistent"), keys: Keys | None = None) -> Decider:
    health = Health("decider", "1")
    return Decider(cast("Any", app), Settings(data=folder), SECRET, cast("Any", keys or Keys()), health, Watchdog())


async def decided(*batches: Sequence[Fetched], app: App | None = None) -> App:
    app = app or App()
    decider = decider_of(app)
    await decider.begin()
    await decider.decide(Stream(*batches))
    return app


def fetched(records: Iterable[Record]) -> list[Fetched]:
    return [Fetched(record) for record in records]


def split(records: Sequence[Fetched], cuts: Iterable[int]) -> list[Sequence[Fetched]]:
    at = sorted({0, len(records), *(cut % len(records) for cut in cuts)})
    return [records[begin:end] for begin, end in pairwise(at)]


def story() -> Story:
    story = Story()
    story.face("ann")
    story.button()
    story.face("bob")
    story.face("ann")
    return story


@given(streams(), st.lists(st.integers(0, 1000), max_size=6))
def test_batches_of_any_size_give_the_bytes_of_single_events(records: list[Record], cuts: list[int]) -> None:
    events = fetched(records)
    singly = asyncio.run(decided(*([event] for event in events)))
    batched = asyncio.run(decided(*split(events, cuts)))
    assert batched.sent == singly.sent
    assert batched.table == singly.table
    assert batched.committed == singly.committed == len(records)


@given(streams(), st.lists(st.integers(0, 1000), max_size=6), st.integers(1, 12))
def test_a_crash_between_records_and_rows_repeats_the_same_bytes(
    records: list[Record], cuts: list[int], writes: int
) -> None:
    events = fetched(records)
    whole = asyncio.run(decided(events))
    app = App()

    async def crash() -> None:
        if app.writes == writes:
            raise Crash

    app.before_acknowledgement = crash
    try:
        asyncio.run(decided(*split(events, cuts), app=app))
    except Crash:
        after = asyncio.run(decided(*split(events[app.committed :], [1]), app=App(app.changelog)))
    else:
        after = App(app.changelog)
    for place, sent in whole.sent.items():
        assert set(sent) <= {*app.sent.get(place, ()), *after.sent.get(place, ())}
    assert after.table == whole.table


async def test_a_batch_is_sent_in_one_request_and_its_rows_in_another_once_each() -> None:
    events = fetched(story().records)
    app = await decided(events)
    assert app.writes == 2
    assert len(app.changelog) == len(dict(app.changelog))
    assert app.committed == len(events)


@pytest.mark.parametrize("comes_back", [True, False], ids=["revoked and assigned again", "revoked"])
@pytest.mark.parametrize("awaited", ["a key", "decisions", "rows"])
async def test_nothing_is_folded_written_or_committed_after_a_rebalance_during_an_await(
    awaited: str, *, comes_back: bool
) -> None:
    app, keys = App(), Keys()
    decider = decider_of(app, keys=keys)
    await decider.begin()

    async def rebalance() -> None:
        if awaited == "rows" and app.writes < 2:
            return
        keys.meanwhile = app.before_acknowledgement = None
        await decider.end()
        if comes_back:
            await decider.begin()

    if awaited == "a key":
        keys.meanwhile = rebalance
    else:
        app.before_acknowledgement = rebalance
    await decider.decide(Stream(fetched(story().records)))
    assert app.writes == {"a key": 0, "decisions": 1, "rows": 2}[awaited]
    assert bool(app.changelog) == (awaited == "rows")
    assert app.committed == 0


async def test_an_event_that_cannot_be_read_is_a_dead_letter_and_those_around_it_are_decided() -> None:
    records = story().records
    events = fetched(records)
    events[2] = Fetched(records[2], value=b"no event")
    whole, app = await decided(*([event] for event in events)), await decided(events)
    assert app.sent == whole.sent
    assert [record.key for record in app.sent[TOPICS.dead_letters, 0]] == [f"{TOPICS.events}/0/2".encode()]
    assert app.table == whole.table


@pytest.mark.parametrize("missing", [{0}, {1}, {1, 3}, {0, 1, 2, 3}], ids=str)
async def test_events_that_are_missing_before_or_within_a_batch_are_read_and_decided_in_order(
    monkeypatch: pytest.MonkeyPatch, missing: set[int]
) -> None:
    events = fetched(story().records)

    async def read(_: object, __: object, partition: int, first: int, end: int) -> Any:
        assert partition == 0
        yield [Message.of(cast("Any", event)) for event in events[first:end]]

    monkeypatch.setattr(gap_repair, "missing_messages", read)
    whole, app = await decided(events), await decided([one for n, one in enumerate(events) if n not in missing])
    assert app.sent == whole.sent
    assert app.table == whole.table


async def test_a_redelivered_batch_gets_the_same_answers_and_writes_no_rows() -> None:
    events = fetched(story().records)
    app = await decided(events)
    again = await decided(events[1:], app=App(app.changelog))
    assert len(again.changelog) == len(app.changelog)
    assert again.committed == len(events)
    assert again.sent[TOPICS.decisions, 0]
