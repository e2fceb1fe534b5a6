"""Play a source through the fold, at a pace."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from models.replay.recording import RecordedEvent, Recording
from models.replay.replay import Replay, Replayed
from stream_processors.replay.pace import Pace

__all__ = ["Source", "is_before", "play"]


class Source(Protocol):
    """A source of recorded events: an archive, or Kafka."""

    @property
    def recording(self) -> Recording:
        """The recorded range."""
        ...

    @property
    def total(self) -> int:
        """Upper bound of the number of events."""
        ...

    @property
    def unreadable(self) -> int:
        """Events that could not be decoded and were left out, so far."""
        ...

    def __aiter__(self) -> AsyncIterator[RecordedEvent]:
        """Iterate in offset order within each partition."""
        ...


async def play(
    source: Source, replay: Replay, pace: Pace, begin: Mapping[int, int], report: Callable[[Replayed], None]
) -> None:
    """Fold every event and report it; events of the warm-up and before `begin` are folded at full speed.

    A resumed replay therefore folds from the beginning: its ledger is stored nowhere, since a file of it would be a
    copy of templates that does not expire.
    """
    since = source.recording.since
    async for recorded in source:
        if recorded.at >= since and not is_before(recorded, begin):
            await pace.reach(recorded.at)
        report(replay.fold(recorded))


def is_before(recorded: RecordedEvent, begin: Mapping[int, int]) -> bool:
    """Return whether the event lies before the offset at which its partition begins."""
    return recorded.offset < begin.get(recorded.partition, 0)
