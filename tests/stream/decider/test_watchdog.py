"""When a worker ends itself. Times are far from now, so that no machine is too slow for them."""

import asyncio
import signal
import sys
import time

import pytest

from stream_processors.decider.watchdog import EXIT_CODE, Watchdog
from tests.support.processes import beside

_FROZEN = """
import time
from stream_processors.decider.watchdog import Watchdog
watchdog = Watchdog().start()
print("started", flush=True)
while True:
    time.sleep(0.01)
    watchdog.check()
"""


def test_a_partition_that_moves_is_left_alone_and_one_that_does_not_is_named() -> None:
    watchdog = Watchdog()
    watchdog.expect([0, 3])
    assert watchdog.stuck(time.monotonic()) is None
    later = time.monotonic() + 1000
    watchdog.moved(0)
    watchdog._moved[0] = later  # noqa: SLF001 - a clock that a test moves
    assert watchdog.stuck(later) == "partitions [3] do not move"


def test_nothing_needs_to_move_while_partitions_change_hands_unless_it_never_ends() -> None:
    watchdog = Watchdog()
    watchdog.expect([0])
    watchdog.pause()
    assert watchdog.stuck(time.monotonic() + 100) is None
    assert watchdog.stuck(time.monotonic() + 1000) == "the recovery does not end"


def test_a_recovery_may_take_any_time_while_rows_come(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    watchdog = Watchdog()
    watchdog.pause()
    for minutes in range(1, 30):
        at = now + 60 * minutes
        monkeypatch.setattr("stream_processors.decider.watchdog.time.monotonic", lambda at=at: at)
        assert watchdog.stuck(at) is None
        watchdog.recovers()
    assert watchdog.stuck(at + 1000) == "the recovery does not end"


def test_rows_of_a_changelog_that_come_after_the_recovery_start_none() -> None:
    watchdog = Watchdog()
    watchdog.expect([])
    watchdog.recovers()
    assert watchdog.stuck(time.monotonic() + 1000) is None


def test_nothing_is_judged_before_the_start() -> None:
    assert Watchdog().stuck(time.monotonic() + 1000) is None


async def test_a_process_that_was_frozen_ends_when_it_wakes() -> None:
    async with beside(sys.executable, "-c", _FROZEN) as process:
        assert process.stdout
        await process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(5)
        process.send_signal(signal.SIGCONT)
        assert await asyncio.wait_for(process.wait(), 10) == EXIT_CODE
