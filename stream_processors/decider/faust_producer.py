"""Faust's producer, made safe: no row is written of what Kafka does not have.

aiokafka keeps the order of a partition and no other: when a request is repeated, or two partitions have two leaders, a
changelog record can be in Kafka before the decision that was handed over first.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any

from faust.transport.drivers import aiokafka as driver

from stream_processors.decider.watchdog import give_up

__all__ = ["install_producer"]


def install_producer() -> None:
    """Make every Faust application of this process use it; Faust has no setting for it."""
    driver.Transport.Producer = _SafeProducer


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
