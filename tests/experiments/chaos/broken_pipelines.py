"""Broken pipelines, on which the checker is tested: processes that a promise was taken out of.

python -m tests.experiments.chaos.broken_pipelines forgetful-decider | skipping-decider | hasty-ingress
"""

import os
import sys
from collections.abc import AsyncIterator, Callable
from types import ModuleType
from typing import Any

from models.ledger import requests
from models.settings import Settings
from stream_processors.decider import gap_repair
from stream_processors.decider import service as decider
from stream_processors.decider.faust_consumer import SeekSafeConsumer, install_consumer
from stream_processors.ingress import service as ingress

__all__ = ["BROKEN"]


def forgetful_decider(settings: Settings) -> None:
    """A repetition is decided again, as if its request had never been seen."""
    _replace(requests, answer_again=lambda _: None)
    decider.run(settings)


def skipping_decider(settings: Settings) -> None:
    """Lose what is fetched first after a rebalance, as Faust's own consumer may; nothing repairs it."""

    async def nothing(*_: object) -> AsyncIterator[Any]:
        return
        yield

    _replace(gap_repair, missing_messages=nothing)
    _replace(decider, install_consumer=lambda: install_consumer(_Skipping))
    decider.run(settings)


def hasty_ingress(settings: Settings) -> None:
    """Acknowledges a message to the broker as soon as it arrives."""
    carefully: Any = ingress._forward  # noqa: SLF001 - to be broken

    async def forward(session: Any, *rest: Any) -> None:
        await carefully(_Hasty(session), *rest)

    _replace(ingress, _forward=forward)
    ingress.run(settings)


def _replace(module: ModuleType, **names: object) -> None:
    for name, value in names.items():
        setattr(module, name, value)


class _Skipping(SeekSafeConsumer):
    """Drops the first events after each seek to the committed offsets."""

    _skips = False

    async def perform_seek(self) -> None:
        await super().perform_seek()
        self._skips = True

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        fetched = await super()._getmany(active_partitions, timeout)
        rows = {tp: found for tp, found in fetched.items() if self._is_changelog_tp(tp)}
        if not self._skips or len(rows) == len(fetched):
            return fetched
        self._skips = False
        return rows


class _Hasty:
    """A session whose messages are acknowledged when they are read, and no second time."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._acknowledge = session.acknowledge
        session.acknowledge = lambda _: None

    async def batches(self) -> AsyncIterator[list[Any]]:
        async for messages in self._session.batches():
            for message in messages:
                self._acknowledge(message)
            yield messages


BROKEN: dict[str, Callable[[Settings], None]] = {
    "forgetful-decider": forgetful_decider,
    "skipping-decider": skipping_decider,
    "hasty-ingress": hasty_ingress,
}

if __name__ == "__main__":
    BROKEN[sys.argv[1]](Settings.from_environ(os.environ))
