"""Reading one partition of a topic record by record."""

from collections import deque
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

__all__ = ["EndlessLog", "Log"]

_BATCH: Final = 2_000
_WAIT_MS: Final = 200


class Log:
    """Reads one partition record by record, from the consumer's position to `end` (exclusive).

    Without `end`, the log end is asked for again once the first one is reached: decisions follow their events.
    """

    def __init__(self, consumer: AIOKafkaConsumer, partition: TopicPartition, end: int | None = None) -> None:
        self._consumer = consumer
        self._partition = partition
        self._end, self._is_final = end or 0, end is not None
        self._records: deque[ConsumerRecord] = deque()

    async def next(self) -> ConsumerRecord | None:
        """Return the next record; None at the end."""
        while not self._records:
            if await self._is_at_end():
                return None
            found = await self._consumer.getmany(self._partition, timeout_ms=_WAIT_MS, max_records=_BATCH)
            self._records.extend(found.get(self._partition, ()))
        return self._records.popleft()

    async def _is_at_end(self) -> bool:
        position: int = await self._consumer.position(self._partition)
        if position >= self._end and not self._is_final:
            self._end = (await self._consumer.end_offsets([self._partition]))[self._partition]
            self._is_final = position >= self._end
        return position >= self._end


class EndlessLog(Log):
    """A log without an end."""

    async def _is_at_end(self) -> bool:
        return False
