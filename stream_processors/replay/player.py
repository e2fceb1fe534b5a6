"""Playing a source through the fold, at a pace."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from models.replay.recording import Happening, Recording
from models.replay.replay import Replay, Replayed
from stream_processors.replay.pace import Pace

__all__ = ["Source", "is_before", "play"]


class Source(Protocol):
    """Where happenings come from: an archive, or Kafka."""

    @property
    def recording(self) -> Recording:
        """What they are of."""
        ...

    @property
    def total(self) -> int:
        """How many they are, at most."""
        ...

    @property
    def unreadable(self) -> int:
        """How many events nobody could read, so far; they are left out."""
        ...

    def __aiter__(self) -> AsyncIterator[Happening]:
        """In the order of each partition's offsets."""
        ...


async def play(
    source: Source, replay: Replay, pace: Pace, begin: Mapping[int, int], tell: Callable[[Replayed], None]
) -> None:
    """Fold everything and tell of each happening; what is before the time asked for, or before `begin`, at full speed.

    A replay that goes on begins anew for that reason: its ledger is stored nowhere, since a file of it would be a copy
    that nobody can make expire.
    """
    since = source.recording.since
    async for happening in source:
        if happening.at >= since and not is_before(happening, begin):
            await pace.reach(happening.at)
        tell(replay.fold(happening))


def is_before(happening: Happening, begin: Mapping[int, int]) -> bool:
    """Whether it lies before the offset that its partition begins with."""
    return happening.offset < begin.get(happening.partition, 0)
