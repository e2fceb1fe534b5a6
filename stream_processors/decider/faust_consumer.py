"""Faust's consumer, made safe: nothing is skipped at a rebalance, and only what is done is committed.

Faust 0.15 loses records for good when workers join and leave: after a recovery it resumes partitions before it seeks
to the committed offsets, so that records fetched before the seek are delivered during it, then dropped from the
streams; what is read again falls below the offset that it believes to have read, and the hole is acknowledged. And a
changelog record that arrives while the flow is stopped is dropped, for which the recovery then waits for ever.

Faust spends about 90 us on each message before an agent has it. So its messages are batches here: one carries what a
fetch brought of a partition of an events topic, and is acknowledged as its last record.

Faust commits what its streams have passed. Here the agent reports what it has done (`ExplicitCommits.done`), and a
commit is that and nothing else: the agent knows by the offset in its rows what is missing, be it a hole of Faust's or
records that Kafka has deleted.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.futures import notify

from stream_processors.runtime.kafka import FETCH_WAIT_MS

__all__ = ["ExplicitCommits", "SeekSafeConsumer", "install_consumer"]


class _PromptClient(driver.aiokafka.AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """A fetch that is not held back for the 1.5 s that Faust asks for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "fetch_max_wait_ms": FETCH_WAIT_MS})


class _Batches(driver.Consumer):  # type: ignore[misc]  # Faust's
    """Delivers the records of a partition and fetch as one message, with `records`; those of a changelog one by one."""

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        fetched = await super()._getmany(active_partitions, timeout)
        return {tp: found if self._is_changelog_tp(tp) else [found] for tp, found in fetched.items()}

    def _to_message(self, tp: TP, record: Any) -> Any:
        if not isinstance(record, list):
            return super()._to_message(tp, record)
        message = super()._to_message(tp, record[-1])
        message.records = record
        return message

    def on_buffer_full(self, tp: TP) -> None:
        """Faust would not fetch this partition for up to a second; a full queue delays the next message anyhow."""


class ExplicitCommits(_Batches):
    """Commits the offsets that the agent reports, whatever Faust has acknowledged."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._done: dict[TP, int] = {}
        """the offset to commit, by partition of the present assignment"""

    def done(self, topic: str, partition: int, offset: int) -> None:
        """Everything up to `offset` is done: it and what is before it may be committed."""
        self._done[TP(topic, partition)] = offset + 1

    def ack(self, message: Any) -> bool:
        """A message has left its stream; a revocation waits for that (`wait_empty`)."""
        message.acked = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        return True

    def _filter_committable_offsets(self, _: Iterable[TP]) -> dict[TP, int]:
        return {tp: offset for tp, offset in self._done.items() if self._should_commit(tp, offset)}

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._done.pop(tp, None)


class SeekSafeConsumer(ExplicitCommits):
    """A seek to the committed offsets that no record in flight can cross."""

    _seeks = 0
    """seeks so far: what was fetched before one is never delivered after it"""
    _delivers = False
    """a fetched record is being delivered to the streams"""

    async def getmany(self, timeout: float) -> AsyncIterator[Any]:
        async for item in super().getmany(timeout):
            self._delivers = True
            try:
                yield item
            finally:
                self._delivers = False

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        seeks = self._seeks
        records = await super()._getmany(active_partitions, timeout)
        if records and not self.flow_active:  # Faust drops them, and seeks back only where something is committed
            await self._give_back({tp: found for tp, found in records.items() if self._is_changelog_tp(tp)})
            records = {tp: found for tp, found in records.items() if not self._is_changelog_tp(tp)}
        if records and seeks != self._seeks:  # fetched across a seek: thrown away, and read again
            await self._seek_to_committed()
            records = {tp: found for tp, found in records.items() if self._is_changelog_tp(tp)}
        return records

    async def _give_back(self, records: dict[Any, Any]) -> None:
        """Fetch changelog records again later: without them a recovery would wait for ever."""
        for tp, found in records.items():
            first = found[0].offset
            if tp in self.assignment() and (await self.position(tp) or 0) > first:
                await self.seek_wait({tp: max(0, first - 1)})  # Faust takes an offset that it sought for read

    async def perform_seek(self) -> None:
        """Stop the flow first; the caller resumes it afterwards."""
        self.stop_flow()
        while self._delivers:
            await asyncio.sleep(0)
        await self._seek_to_committed()
        self._seeks += 1

    async def _seek_to_committed(self) -> None:
        await super().perform_seek()
        assigned = (tp for tp in self.assignment() if not self._is_changelog_tp(tp))
        uncommitted = {tp: 0 for tp in assigned if not self._committed_offset.get(tp)}
        if uncommitted:  # aiokafka does not seek where nothing is committed
            await self.seek_wait(uncommitted)

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        """Faust found a hole before what it delivers next; the agent finds it too, and reads what is missing."""


def install_consumer(consumer: type[ExplicitCommits] = SeekSafeConsumer) -> None:
    """Make every Faust application of this process use it; Faust has no setting for it."""
    driver.aiokafka.AIOKafkaConsumer = _PromptClient
    driver.Transport.Consumer = consumer
