"""Errors of a replay when Kafka does not answer."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

from infra.kafka_records import KafkaAway
from models.settings import Settings

__all__ = ["run_replay"]

_T = TypeVar("_T")


def run_replay(settings: Settings, work: Coroutine[Any, Any, _T]) -> _T:
    """Run the work to its end. Raises KafkaAway if Kafka does not answer."""
    try:
        return asyncio.run(work)
    except* KafkaError as group:
        raise KafkaAway(f"cannot read Kafka at {settings.kafka_named}: {group.exceptions[0]!r}") from None
