"""The agent without Faust and Kafka: what it does with an event when its partition is taken away meanwhile."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from models.contract.codec import encode
from models.ledger.events import Event
from models.settings import Settings
from stream_processors.decider.agent import Decider
from stream_processors.decider.watchdog import Watchdog
from stream_processors.runtime.health import Health
from tests.support.story import SECRET, Story

EVENTS = Settings().topics.events


class App:
    """What the agent uses of a Faust application, for one partition: it notes what is sent, written and done."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.rows: list[bytes] = []
        self.committed: list[int] = []
        self.data: dict[bytes, bytes] = {}
        self.active_offsets: dict[object, int] = {}
        self.consumer = self.tables = self.recovery = self

    def topic(self, name: str, **_: object) -> "Topic":
        return Topic(name, self.sent)

    def Table(self, *_: object, **__: object) -> "App":  # noqa: N802 - Faust's name
        return self

    def send_changelog(self, _: int, key: bytes, __: bytes | None) -> None:
        self.rows.append(key)

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(EVENTS, 0)}

    def done(self, _: str, __: int, offset: int) -> None:
        self.committed.append(offset)


class Topic:
    def __init__(self, name: str, sent: list[tuple[str, bytes]]) -> None:
        self.name, self._sent = name, sent
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def send(self, *, value: bytes, **_: object) -> None:
        self._sent.append((self.name, value))


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


class Stream:
    """Delivers a story's events as Faust does."""

    def __init__(self, story: Story) -> None:
        self._story = story

    async def events(self) -> Any:
        for record in self._story.records:
            yield _Event(_Message(0, record.offset, record.at / 1000, encode(record.event)))


class _Event:
    def __init__(self, message: "_Message") -> None:
        self.message = message


class _Message:
    def __init__(self, partition: int, offset: int, timestamp: float, value: bytes) -> None:
        self.partition, self.offset, self.timestamp, self.value = partition, offset, timestamp, value


def decider_of(app: App, keys: Keys, tmp_path: Path) -> Decider:
    settings = Settings(data=tmp_path)
    return Decider(cast("Any", app), settings, SECRET, cast("Any", keys), Health("decider", "1"), Watchdog())


def story() -> Story:
    story = Story()
    story.face("ann")
    story.button()
    return story


async def test_each_event_is_sent_then_written_then_done(tmp_path: Path) -> None:
    app, received = App(), story()
    decider = decider_of(app, Keys(), tmp_path)
    await decider.begin()
    await decider.decide(Stream(received))
    expected = [encode(outcome) for decision in received.decisions for outcome in decision.outcomes]
    assert [value for topic, value in app.sent if topic == Settings().topics.decisions] == expected[1:]
    assert len(app.rows) == len(received.records)
    assert app.committed == [record.offset for record in received.records]


@pytest.mark.parametrize("comes_back", [True, False], ids=["revoked and assigned again", "revoked"])
async def test_nothing_is_folded_or_written_after_a_rebalance_during_an_await(
    tmp_path: Path, *, comes_back: bool
) -> None:
    app, keys = App(), Keys()
    decider = decider_of(app, keys, tmp_path)
    await decider.begin()

    async def rebalance() -> None:
        keys.meanwhile = None
        await decider.end()
        if comes_back:
            await decider.begin()

    keys.meanwhile = rebalance
    only = Story()
    await decider.decide(Stream(only))
    assert (app.sent, app.rows, app.committed) == ([], [], [])
