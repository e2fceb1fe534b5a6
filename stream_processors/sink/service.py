"""The metrics sink: from Kafka to InfluxDB, in a consumer group of its own, so that its outage delays no answer.

Kafka is the queue, and its retention bounds how long InfluxDB may be unreachable: offsets are committed after InfluxDB
has the points, those of decisions up to where the open period began, and a point written twice is one point.
"""

import asyncio
from collections.abc import Iterable
from functools import partial

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from models.contract.codec import decode_control, decode_dead_letter, decode_state
from models.contract.states import dispenser_of_key
from models.errors import MalformedMessage
from models.ledger.codec import decode_outcome
from models.settings import Settings
from stream_processors.runtime.consumer_lag import reads
from stream_processors.runtime.health import Health
from stream_processors.runtime.kafka import commit, fetch, kafka_answers, open_consumer
from stream_processors.runtime.pipeline_identity import check_kafka, own_id
from stream_processors.runtime.service import announce_ready, serve, unbroken
from stream_processors.sink.influx import Influx, open_influx
from stream_processors.sink.pipeline_metrics import Sampler
from stream_processors.sink.points import control_point, dead_letter_point, outcome_point, state_point
from stream_processors.sink.rollups import Periods

__all__ = ["Points", "run"]

_BATCH_S = 1.0
_BATCH_LINES = 5_000
"""Bodies of 2,000 to 5,000 lines were fastest: 180,000 lines/s, against 42,000 with the client's batching."""
_COUNTS = ("points", "rejected", "unreadable", "redelivered", "rebalances", "samples_dropped")


def run(settings: Settings) -> None:
    """Serve until stopped; several instances share the partitions."""
    health = Health("sink", settings.instance, counts=_COUNTS)
    serve(lambda: _carry(settings, health), health, settings)


class Points:
    """Turns records into lines, and knows the offsets to commit once all lines so far are written."""

    def __init__(self, settings: Settings, health: Health) -> None:
        self._settings = settings
        self._topics = settings.topics
        self._health = health
        self._periods: dict[int, Periods] = {}

    def of(self, records: Iterable[ConsumerRecord]) -> tuple[list[str], dict[TopicPartition, int]]:
        lines: list[str] = []
        done: dict[TopicPartition, int] = {}
        for record in records:
            lines += self._lines(record)
            done[TopicPartition(record.topic, record.partition)] = self._done(record)
        return lines, done

    def _lines(self, record: ConsumerRecord) -> list[str]:
        try:
            return self._read(record)
        except MalformedMessage as error:  # written by a newer service; the partition must go on
            self._health.count("unreadable")
            self._health.fault(f"unreadable record at {record.topic}/{record.partition}/{record.offset}: {error}")
            if record.topic == self._topics.decisions:
                self._of(record).skip(record.offset)
            return []

    def _read(self, record: ConsumerRecord) -> list[str]:
        """Return the lines of a record; a tombstone, of a removed site or dispenser, has none."""
        value, offset, at = record.value or b"", record.offset, record.timestamp
        match record.topic:
            case self._topics.states | self._topics.controls if record.value is None:
                return []
            case self._topics.states:
                return [state_point(*dispenser_of_key(record.key), decode_state(value), offset, at)]
            case self._topics.controls:
                return [control_point(decode_control(value), offset, at)]
            case self._topics.dead_letters:
                return [dead_letter_point(decode_dead_letter(value), offset, at)]
            case self._topics.receipts:
                return [line] if (line := outcome_point(decode_outcome(value), at)) else []
            case _:
                return self._of(record).take(offset, decode_outcome(value), at)

    def _done(self, record: ConsumerRecord) -> int:
        return self._of(record).begun if record.topic == self._topics.decisions else int(record.offset) + 1

    def _of(self, record: ConsumerRecord) -> Periods:
        fresh = Periods(self._settings.metrics_period_s, self._settings.metrics_k)
        return self._periods.setdefault(record.partition, fresh)


async def _carry(settings: Settings, health: Health) -> None:
    """On a stop, what was read is written and committed, unless InfluxDB is unreachable."""
    await check_kafka(settings, own_id(settings))
    group = settings.topics.sink_group
    watched = TopicPartition(settings.topics.dead_letters, 0)  # one sink of several holds it: that one watches
    async with (
        open_influx(settings, health) as influx,
        open_consumer(settings, *reads(settings.topics)[group], group=group) as consumer,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(health.watch(kafka=partial(kafka_answers, consumer), influxdb=influx.check), name="health")
        sampler = Sampler(settings, influx, health, lambda: watched in consumer.assignment())
        tasks.create_task(sampler.sample_services(), name="services")
        tasks.create_task(sampler.sample_lag(), name="lag")
        announce_ready("sink")
        points, ours = Points(settings, health), consumer.assignment()
        while True:
            batches = await fetch(consumer, health, timeout_ms=int(1000 * _BATCH_S), max_records=_BATCH_LINES)
            records = [record for batch in batches.values() for record in batch]
            if ours != consumer.assignment():
                ours = consumer.assignment()
                health.count("rebalances")
            await unbroken(_write(influx, consumer, points, records, health))
            if len(records) < _BATCH_LINES:
                await asyncio.sleep(_BATCH_S)


async def _write(
    influx: Influx, consumer: AIOKafkaConsumer, points: Points, records: Iterable[ConsumerRecord], health: Health
) -> None:
    """Write the records' points, and commit up to the last closed period."""
    lines, done = points.of(records)
    await influx.write(lines)
    with health.at_work():
        await commit(consumer, done)
