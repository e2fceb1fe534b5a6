"""A shadow of the running stream, until it is stopped.

It reads Kafka without a consumer group and writes to InfluxDB only. It holds and erases templates as a decider does,
driven by the events of the stream; if no events come it ends, so that no template outlives its window.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Final, NoReturn

from msgspec import structs

from models.errors import FairrollError
from models.ledger.events import Event, Requested
from models.ledger.rules.policy import Sites
from models.replay.recording import RecordedEvent
from models.replay.what_if import Trial
from models.settings import Settings
from stream_processors.decider.ledger import opened
from stream_processors.replay.kafka_source import Wanted, open_stream
from stream_processors.replay.shadow import Shadow, policy_of
from stream_processors.replay.sources import pipeline_secret
from stream_processors.runtime.health import Health, served
from stream_processors.runtime.key_client import Keys, open_keys
from stream_processors.sink.influx import Influx, open_influx

__all__ = ["follow"]

_ENDLESS: Final = 2**62
_WRITE_EVERY_S = 1.0
_MOST_LINES = 20_000
"""Most lines that wait for InfluxDB; further ones are dropped and counted: a waiting shadow would keep templates."""
_CHECK_EVERY_S, _SILENCE_S = 5.0, 60.0
"""The decider publishes every five seconds; a partition silent for a minute erases nothing."""


async def follow(settings: Settings, trial: Trial, sites: Sites, run: str, begin: Callable[[Shadow], None]) -> NoReturn:
    """Warm up with one window and follow the stream; `begin` is called with the shadow first. Raises FairrollError.

    When cancelled, the points of closed periods are written.
    """
    health = Health("shadow", settings.instance)
    now = time.time_ns() // 1_000_000
    wanted = Wanted(
        since=now - now % (1000 * settings.metrics_period_s),
        until=_ENDLESS,
        warm_up_ms=1000 * sites.longest_window_s,
        is_endless=True,
    )
    async with (
        served(health, settings.health),
        open_influx(settings, health, policy_of(run)) as influx,
        open_keys(settings, "decider", health) as keys,
        open_stream(settings, wanted, lambda event: event) as stream,
    ):
        shadow = Shadow(settings, stream.recording, pipeline_secret(settings, is_needed=True), trial)
        outbox = _Outbox(influx, health)
        begin(shadow)
        health.ready = True
        try:
            async with asyncio.TaskGroup() as tasks:
                for number, part in enumerate(stream.by_partition()):
                    silence = _SilenceWatch(shadow, number)
                    tasks.create_task(_carry(part, shadow, keys, outbox, silence), name=f"partition {number}")
                    tasks.create_task(silence.watch(), name=f"watch {number}")
                tasks.create_task(outbox.carry(), name="write")
        finally:
            await outbox.write()
    raise AssertionError("the stream is endless")


class _Outbox:
    """Lines that wait for InfluxDB."""

    def __init__(self, influx: Influx, health: Health) -> None:
        self._influx = influx
        self._health = health
        self._lines: list[str] = []

    def put(self, lines: list[str]) -> None:
        room = _MOST_LINES - len(self._lines)
        self._health.count("dropped", len(lines[room:]))
        self._lines += lines[:room]

    async def carry(self) -> NoReturn:
        while True:
            await asyncio.sleep(_WRITE_EVERY_S)
            await self.write()

    async def write(self) -> None:
        """Try to write once; what InfluxDB does not accept keeps waiting."""
        offered = len(self._lines)
        left = await self._influx.offer(self._lines)
        self._lines[:offered] = left


class _SilenceWatch:
    """Notices that a partition has become silent."""

    def __init__(self, shadow: Shadow, partition: int) -> None:
        self._shadow, self._partition = shadow, partition
        self._last_s = time.monotonic()

    def note(self) -> None:
        self._last_s = time.monotonic()

    async def watch(self) -> NoReturn:
        """Raise FairrollError if the partition is silent while templates are in memory."""
        while True:
            await asyncio.sleep(_CHECK_EVERY_S)
            if time.monotonic() - self._last_s > _SILENCE_S and self._shadow.holds_templates(self._partition):
                raise FairrollError(
                    f"no decision for {_SILENCE_S:.0f} s: the shadow ends, so that it keeps no template"
                )


async def _carry(
    part: AsyncIterator[RecordedEvent], shadow: Shadow, keys: Keys, outbox: _Outbox, silence: _SilenceWatch
) -> None:
    async for recorded in part:
        event = await _opened(recorded.event, keys)
        outbox.put(shadow.take(structs.replace(recorded, event=event)))
        silence.note()


async def _opened(event: Event, keys: Keys) -> Event:
    """Return the event with its template if its key can be had, and without the sealed one."""
    if not isinstance(event, Requested) or event.sealed is None:
        return event
    if not keys.covers(event.site, event.sealed):
        await keys.fetch(event.site)
    event = opened(event, keys)
    return structs.replace(event, sealed=None)
