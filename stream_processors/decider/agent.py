"""What the decider does with each event: fold it, send what it results in, write its rows, commit."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import faust

from models.contract.codec import encode
from models.errors import MalformedMessage, Undecidable
from models.ledger.events import Ticked
from models.ledger.outcomes import ControlChanged
from models.settings import Settings
from stream_processors.decider.changelog import described
from stream_processors.decider.gap_repair import missing_messages
from stream_processors.decider.ledger import Folded, Ledger, Message, UnreadableRow, read
from stream_processors.decider.partition_keys import WorkerKeys
from stream_processors.decider.watchdog import Watchdog, give_up
from stream_processors.runtime.health import Health
from stream_processors.runtime.service import announce_ready

__all__ = ["Decider"]

_RAW: dict[str, Any] = {
    "key_type": bytes,
    "value_type": bytes,
    "key_serializer": "raw",
    "value_serializer": "raw",
}


class Decider:
    """What the application does, event by event.

    A rebalance can take the partitions away during any `await`. So the generation of the assignment is compared before
    anything is folded or written after one; the next owner decides alike.
    """

    def __init__(
        self,
        app: faust.App,
        settings: Settings,
        pipeline_secret: bytes,
        keys: WorkerKeys,
        health: Health,
        watchdog: Watchdog,
    ) -> None:
        self._app = app
        self._settings = settings
        topics = settings.topics
        self.events = app.topic(topics.events, **_RAW)
        self._topics = {
            name: app.topic(name, **_RAW)
            for name in (topics.decisions, topics.controls, topics.receipts, topics.dead_letters)
        }
        self.accounts = app.Table(
            "accounts",
            partitions=settings.partitions,
            key_type=bytes,
            value_type=bytes,
            on_changelog_event=partial(_recovered, watchdog),
        )
        self._ledger = Ledger(pipeline_secret, keys, topics)
        self._keys = keys
        self._health = health
        self._watchdog = watchdog
        self._is_without_keys = False

    async def decide(self, stream: Any) -> None:
        """Fold each event, in the order of its partition; what Faust left out is read from Kafka first.

        Whatever fails here ends the worker: Faust would acknowledge the event all the same and go on with the next.
        """
        try:
            async for event in stream.events():
                if (generation := self._ledger.generation) is not None:
                    await self._answer_all(_message(event.message), generation)
        except UnreadableRow as error:
            give_up(await described(self._settings, error))
        except Exception as error:  # noqa: BLE001 - see above
            give_up("an event could not be decided", error=repr(error))

    async def _answer_all(self, message: Message, generation: int) -> None:
        """Answer a message, after those that are missing before it."""
        async for each in self._with_missing(message):
            if self._ledger.generation != generation:
                return
            await self._answer(each, generation)

    async def _with_missing(self, message: Message) -> AsyncIterator[Message]:
        number, next_offset = message.partition, self._ledger.next_offset(message.partition)
        async for missing in missing_messages(self._settings, self._health, number, next_offset, message.offset):
            yield missing
        yield message

    async def _answer(self, message: Message, generation: int) -> None:
        """Send what a message results in, then write its rows: see `_SafeProducer`."""
        self._watchdog.check()
        is_new = message.offset >= self._ledger.next_offset(message.partition)
        folded = await self._fold(message, generation)
        if folded is None:
            return
        await self._send(message, folded)
        if self._ledger.generation != generation:
            return
        for key, row in folded.rows.items():
            self.accounts.send_changelog(message.partition, key, row)
        self._app.consumer.done(self._settings.topics.events, message.partition, message.offset)
        self._health.count("decided" if is_new else "redelivered")
        self._watchdog.moved(message.partition)

    async def _fold(self, message: Message, generation: int) -> Folded | None:
        """Fold a message; None where its partition was revoked meanwhile."""
        try:
            event = read(message)
            await self._keys.fetch_for(event)
            if self._ledger.generation != generation:
                return None
            self._read_rows_again()
            return self._ledger.fold(message, event)
        except (MalformedMessage, Undecidable) as error:
            return self._ledger.pass_over(message, str(error))

    async def _send(self, message: Message, folded: Folded) -> None:
        for outcome in folded.outcomes:
            if isinstance(outcome, ControlChanged) and outcome.control.mode != "face":
                self._keys.destroy(outcome.site)
        for record in folded.records:
            is_letter = record.topic == self._settings.topics.dead_letters
            number = 0 if is_letter else message.partition  # co-partitioned by site; the dead letters have only one
            await self._topics[record.topic].send(key=record.key, value=record.value, partition=number)
            if is_letter:
                self._health.fault("dead letter")

    def _read_rows_again(self) -> None:
        """Rows that were read without the key holder have no templates: read them again once it answers."""
        if self._is_without_keys and not self._keys.is_unreachable:
            self._is_without_keys = False
            self._ledger.reread()

    async def tick(self) -> None:
        """Send every partition of ours the time, and the end of its sites' epochs: only an event changes the table."""
        for number in self._partitions():
            await self.events.send(value=encode(Ticked()), partition=number)
            if self._ledger.generation is None:
                continue
            for ended in self._ledger.partition(number).ended_epochs():
                await self.events.send(key=ended.site.encode(), value=encode(ended), partition=number)

    async def begin(self) -> None:
        """The table is complete: what comes now is decided on all that was, as far as its keys are there.

        Faust would go on after an error here, without a word.
        """
        try:
            await self._keys.ready()
            self._is_without_keys = self._keys.is_unreachable
            self._ledger.begin(self.accounts.data, self._partitions())
        except UnreadableRow as error:
            give_up(await described(self._settings, error))
        except Exception as error:  # noqa: BLE001 - see above
            give_up("the table could not be read", error=repr(error))
        self._watchdog.expect(self._partitions())
        self._health.ready = True
        announce_ready("decider")

    async def end(self, *_: Any, **__: Any) -> None:
        """Partitions may be another worker's from now on: nothing of them stays, and recovery starts empty."""
        self._health.ready = False
        self._health.count("rebalances")
        self._watchdog.pause()
        self._ledger.end()
        self.accounts.data.clear()  # not through the table, which would write tombstones
        self._app.tables.recovery.active_offsets.clear()  # else only what came since the last recovery is read

    def _partitions(self) -> set[int]:
        events = self._settings.topics.events
        return {assigned.partition for assigned in self._app.consumer.assignment() if assigned.topic == events}


async def _recovered(watchdog: Watchdog, _: object) -> None:
    """Faust has read a row of the changelog."""
    watchdog.recovers()


def _message(message: Any) -> Message:
    return Message(message.partition, message.offset, round(message.timestamp * 1000), message.value)
