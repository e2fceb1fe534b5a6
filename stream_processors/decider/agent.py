"""What the decider does with each batch of events: fold it, send what it results in, write its rows, commit."""

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Any

import faust

from models.contract.codec import encode
from models.errors import MalformedMessage, Undecidable
from models.ledger.events import Ticked
from models.ledger.outcomes import ControlChanged
from models.settings import Settings
from stream_processors.decider.batch import Batch, KeyValue
from stream_processors.decider.changelog import described
from stream_processors.decider.gap_repair import without_gaps
from stream_processors.decider.ledger import Folded, Ledger, Message, UnreadableRow, read
from stream_processors.decider.ordered_steps import OrderedSteps
from stream_processors.decider.partition_keys import WorkerKeys
from stream_processors.decider.watchdog import Watchdog, give_up
from stream_processors.runtime.health import Health
from stream_processors.runtime.service import announce_ready

__all__ = ["Decider"]

_QUEUED_BATCHES = 1
"""Batches that wait in Faust while one is decided. What comes meanwhile waits in the consumer, as one larger batch."""

_MOST_UNDER_WAY = 8
"""Batches that are folded ahead of Kafka's acknowledgements. Where it is slow, batches grow instead."""


class Decider:
    """What the application does, batch by batch.

    A batch is what a fetch brought of one partition: one event where one waits, hundreds where they do. Nothing waits
    for a batch to fill. The same events give the same records whatever batches they come in.

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
        raw: dict[str, Any] = {
            "key_type": bytes,
            "value_type": bytes,
            "key_serializer": "raw",
            "value_serializer": "raw",
        }
        self.events = app.topic(settings.topics.events, maxsize=_QUEUED_BATCHES, **raw)
        self.accounts = app.Table(
            "accounts",
            partitions=settings.partitions,
            key_type=bytes,
            value_type=bytes,
            on_changelog_event=partial(_recovered, watchdog),
        )
        self._ledger = Ledger(pipeline_secret, keys, settings.topics)
        self._keys = keys
        self._health = health
        self._watchdog = watchdog
        self._is_without_keys = False
        self._steps = OrderedSteps(_MOST_UNDER_WAY)

    async def decide(self, stream: Any) -> None:
        """Fold the events of each batch, in the order of its partition; what Faust left out is read from Kafka first.

        A batch is acknowledged when it is completed; Faust waits for that before partitions are revoked. Whatever fails
        here ends the worker, since Faust would go on with the next.
        """
        try:
            async for event in stream.noack().events():
                if (generation := self._ledger.generation) is not None:
                    await self._answer_all([Message.of(record) for record in event.message.records], generation)
                await self._steps.put(partial(_acknowledge, event))
            await self._steps.ended()
        except UnreadableRow as error:
            give_up(await described(self._settings, error))
        except Exception as error:  # noqa: BLE001 - see above
            give_up("events could not be decided", error=repr(error))

    async def _answer_all(self, messages: Sequence[Message], generation: int) -> None:
        """Answer messages of one partition, and those that are missing between them."""
        next_offset = self._ledger.next_offset(messages[0].partition)
        async for some in without_gaps(self._settings, self._health, messages, next_offset):
            if self._ledger.generation != generation or not await self._answer(some, generation):
                return

    async def _answer(self, messages: Sequence[Message], generation: int) -> bool:
        """Answer consecutive messages; False where their partition was revoked meanwhile."""
        self._watchdog.check()
        batch = Batch(messages[0].partition)
        for message in messages:
            is_redelivered = message.offset < self._ledger.next_offset(batch.partition)
            folded = await self._fold(message, generation)
            if folded is None:
                return False
            if not batch.has_room_for(folded):
                await self._send(batch, generation)
                if self._ledger.generation != generation:
                    return False
                batch = Batch(batch.partition)
            batch.add(message, folded, is_redelivered=is_redelivered)
        await self._send(batch, generation)
        return self._ledger.generation == generation

    async def _fold(self, message: Message, generation: int) -> Folded | None:
        """Fold a message; None where its partition was revoked meanwhile."""
        try:
            event = read(message)
            await self._keys.fetch_for(event)
            if self._ledger.generation != generation:
                return None
            self._read_rows_again()
            folded = self._ledger.fold(message, event)
        except (MalformedMessage, Undecidable) as error:
            return self._ledger.pass_over(message, str(error))
        for outcome in folded.outcomes:
            if isinstance(outcome, ControlChanged) and not (outcome.control and outcome.control.mode == "face"):
                self._keys.destroy(outcome.site)
        return folded

    async def _send(self, batch: Batch, generation: int) -> None:
        """Send the records of a batch. The next is folded while Kafka acknowledges them."""
        acknowledged = await self._app.producer.send_all(batch.records)
        await self._steps.put(partial(self._complete, batch, acknowledged, generation))

    async def _complete(self, batch: Batch, acknowledged: Awaitable[object], generation: int) -> None:
        """Write the rows of a batch once Kafka has its records, and let it be committed once Kafka has these.

        So a row never outlives the decision that it remembers, whichever process is killed. Where the partition is
        revoked meanwhile, the next owner does what is missing.
        """
        topics = self._settings.topics
        await acknowledged
        self._watchdog.check()
        if self._ledger.generation != generation:
            return
        if batch.rows:
            rows = [KeyValue(key, row) for key, row in batch.rows.items()]
            await (await self._app.producer.send_all({(topics.accounts_changelog, batch.partition): rows}))
        if self._ledger.generation != generation:
            return
        self._app.consumer.done(topics.events, batch.partition, batch.offset)
        self._watchdog.moved(batch.partition)
        self._health.count("decided", batch.messages - batch.redelivered)
        self._health.count("redelivered", batch.redelivered)
        for _ in range(batch.dead_letters):
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


async def _acknowledge(event: Any) -> None:
    event.ack()


async def _recovered(watchdog: Watchdog, _: object) -> None:
    """Faust has read a row of the changelog."""
    watchdog.recovers()
