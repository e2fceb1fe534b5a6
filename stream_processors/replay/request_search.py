"""Search for one request: its decisions in Kafka, and their reasons in a source that is replayed."""

from typing import NamedTuple

from aiokafka import TopicPartition

from models.errors import MalformedMessage
from models.ledger.codec import decode_outcome
from models.ledger.events import Requested
from models.ledger.outcomes import Answered
from models.replay.explain import Explanation, MotorReport, explain, motor_report
from models.replay.replay import Replay
from models.settings import Settings
from stream_processors.replay.partition_log import Log
from stream_processors.replay.player import Source
from stream_processors.runtime.kafka import open_consumer

__all__ = ["Found", "decisions_on", "find"]


class Found(NamedTuple):
    """Everything that a source holds about a request."""

    explanations: list[Explanation]
    """one for each delivery"""
    reports: list[MotorReport]


async def decisions_on(settings: Settings, request: str) -> list[Answered]:
    """Return every answer to the request that Kafka still has, oldest first."""
    partitions = [TopicPartition(settings.topics.decisions, number) for number in range(settings.partitions)]
    found: list[Answered] = []
    async with open_consumer(settings, group=None) as consumer:
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        for partition in partitions:
            log = Log(consumer, partition)
            while record := await log.next():
                if answered := _answer(record.value or b"", request):
                    found.append(answered)
    return sorted(found, key=lambda answered: answered.at)


def _answer(value: bytes, request: str) -> Answered | None:
    if request.encode() not in value:
        return None
    try:
        outcome = decode_outcome(value)
    except MalformedMessage:  # written by another version
        return None
    return outcome if isinstance(outcome, Answered) and outcome.command.request == request else None


async def find(source: Source, pipeline_secret: bytes, request: str) -> Found:
    """Fold the source to its end and explain the request wherever it occurs."""
    replay, found = Replay(source.recording, pipeline_secret), Found([], [])
    async for recorded in source:
        match recorded.event:
            case Requested() as event if event.request.id == request:
                found.explanations.append(explain(replay, recorded, event))
            case _:
                replay.fold(recorded)
                if report := motor_report(recorded, request):
                    found.reports.append(report)
    return found
