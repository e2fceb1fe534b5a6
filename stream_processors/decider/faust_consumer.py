"""Faust's consumer and producer, made safe: nothing is skipped at a rebalance, no row is written of what was not said.

Faust 0.15 loses records for good when workers join and leave: after a recovery it resumes partitions before it seeks
to the committed offsets, so that records fetched before the seek are delivered during it, then dropped from the
streams; what is read again falls below the offset that it believes to have read, and the hole is acknowledged. And a
changelog record that arrives while the flow is stopped is dropped, for which the recovery then waits for ever.

aiokafka keeps the order of a partition and no other: when a request is repeated, or two partitions have two leaders, a
changelog record can be in Kafka before the decision that was handed over first.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from faust.transport.drivers import aiokafka as driver

from stream_processors.decider.watchdog import give_up
from stream_processors.runtime.kafka import FETCH_WAIT_MS

__all__ = ["install"]


def install() -> None:
    """Make every Faust application of this process use them; Faust has no setting for it."""
    driver.aiokafka.AIOKafkaConsumer = _PromptClient
    driver.Transport.Consumer = _SeekSafeConsumer
    driver.Transport.Producer = _SafeProducer


class _PromptClient(driver.aiokafka.AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """A fetch that is not held back for the 1.5 s that Faust asks for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "fetch_max_wait_ms": FETCH_WAIT_MS})


class _SeekSafeConsumer(driver.Consumer):  # type: ignore[misc]  # Faust's
    """A seek to the committed offsets that no record in flight can cross."""

    _seeks = 0
    """seeks so far: what was fetched before one is never delivered after it"""
    _delivers = False
    """a fetched record is being handed to the streams"""

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
        """Stop the flow first; whoever calls this resumes it afterwards."""
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
        """A hole is never acknowledged: it is read again after the next seek, and known by its offsets then."""
        self.log.error("hole in %s: offsets %s to %s were not delivered", tp, offset_from, offset_to)

    def _new_offset(self, tp: Any) -> int | None:
        """Never commit past an unprocessed record; Faust steps over one just behind the committed offset."""
        acked, committed = self._acked[tp], self._committed_offset[tp]
        if acked and committed and min(acked) > committed:
            return None
        offset: int | None = super()._new_offset(tp)
        return offset


class _SafeProducer(driver.Producer):  # type: ignore[misc]  # Faust's
    """A changelog record waits until Kafka has all that was sent before it; what Kafka does not take ends the worker.

    So a row never outlives the decision that it remembers, whichever of the two processes is killed. Rows go out in
    groups, one after another: the worker decides on meanwhile.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._under_way: set[asyncio.Future[Any]] = set()
        self._rows: list[Any] = []
        """the group that still grows"""
        self._writing: asyncio.Task[None] | None = None
        """hands that group over, after those before it"""

    async def send(self, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        sent: asyncio.Future[Any] = await super().send(*args, **kwargs)
        self._under_way.add(sent)
        sent.add_done_callback(self._end_on_failure)
        return sent

    def send_soon(self, row: Any) -> None:
        """Take a row over; Faust sends nothing else in this way."""
        if not self._rows:
            self._writing = asyncio.create_task(self._write(self._rows, after=self._writing), name="rows")
            self._writing.add_done_callback(self._end_on_failure)
        self._rows.append(row)

    async def flush(self) -> None:
        """Return once Kafka has what was sent so far; Faust commits after that."""
        if self._writing:
            await self._writing
        await super().flush()

    async def _write(self, rows: list[Any], after: asyncio.Task[None] | None) -> None:
        if after:
            await after
        self._rows = []  # what is sent from here on is not waited for
        if self._under_way:
            await asyncio.wait(tuple(self._under_way))
        for row in rows:
            await row.message.channel.publish_message(row, wait=False)

    def _end_on_failure(self, sent: "asyncio.Future[Any]") -> None:
        self._under_way.discard(sent)
        if not sent.cancelled() and (error := sent.exception()):
            give_up("Kafka did not take a record", error=repr(error))
