"""The metrics sink: from Kafka to InfluxDB, in a consumer group of its own, so that its outage delays no answer.

Kafka is the queue: offsets are committed after InfluxDB has the points, and a point written twice is one point.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import aiohttp
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.client.write_api_async import WriteApiAsync
from influxdb_client.rest import ApiException

from models.codec import decode_dead_letter, decode_outcome, decode_state
from models.errors import MalformedMessage
from models.settings import Settings
from models.topics import DEAD_LETTERS, DECISIONS, STATES
from stream_processors.health import Health
from stream_processors.kafka import commit, kafka_answers, next_offsets, open_consumer
from stream_processors.points import dead_letter_point, outcome_point, state_point
from stream_processors.service import announce_ready, jittered_waits, serve, unbroken

__all__ = ["point", "run"]

_GROUP = "fairroll.sink"
_BATCH_S = 1.0
_BATCH_LINES = 5_000
"""Bodies of 2,000 to 5,000 lines were fastest: 180,000 lines/s, against 42,000 with the client's batching."""
_TIMEOUT_MS = 5_000
_BUSY = frozenset({429, 500, 502, 503, 504})
"""Answers after which the same body may be accepted; the others (400, 404, 422) say that it never will be."""

_AWAY = (aiohttp.ClientError, TimeoutError, OSError)

Write = Callable[[list[str]], Awaitable[None]]


def run(settings: Settings) -> None:
    """Serve until told to stop; several instances share the partitions."""
    health = Health("sink", settings.instance)
    serve(lambda: _carry(settings, health), health, settings)


def point(record: ConsumerRecord) -> str | None:
    """The line of a Kafka record; None for what is not measured. Raises MalformedMessage."""
    value = record.value or b""
    if record.topic == STATES:
        site, _, device = record.key.decode().partition("/")
        return state_point(site, device, decode_state(value), record.timestamp)
    if record.topic == DEAD_LETTERS:
        return dead_letter_point(decode_dead_letter(value), record.offset, record.timestamp)
    return outcome_point(decode_outcome(value), record.timestamp)


async def _carry(settings: Settings, health: Health) -> None:
    """When told to stop, what was read is written and committed, unless InfluxDB is away."""
    async with (
        InfluxDBClientAsync(
            settings.influx_url, settings.influx_token, settings.influx_org, timeout=_TIMEOUT_MS, enable_gzip=True
        ) as influx,
        open_consumer(settings, DECISIONS, STATES, DEAD_LETTERS, group=_GROUP) as consumer,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(
            health.watch(kafka=partial(kafka_answers, consumer), influxdb=partial(_answers, influx)), name="health"
        )
        announce_ready("sink")
        write = partial(_write, influx.write_api(), settings.influx_bucket, health=health)
        while True:
            first = await consumer.getone()
            await unbroken(_write_batch(write, consumer, first, health))


async def _answers(influx: InfluxDBClientAsync) -> bool:
    try:
        return bool(await influx.ping())
    except _AWAY:
        return False


async def _write_batch(write: Write, consumer: AIOKafkaConsumer, first: ConsumerRecord, health: Health) -> None:
    """Write what comes within a second after the first, and commit it."""
    await asyncio.sleep(_BATCH_S)
    batches = await consumer.getmany(timeout_ms=0, max_records=_BATCH_LINES)
    records = [first, *(record for batch in batches.values() for record in batch)]
    await write([line for record in records if (line := _line(record, health))])
    with health.at_work():
        await commit(consumer, next_offsets(records))


def _line(record: ConsumerRecord, health: Health) -> str | None:
    try:
        return point(record)
    except MalformedMessage as error:
        health.count("unreadable")
        health.fault(f"unreadable record at {record.topic}/{record.partition}/{record.offset}: {error}")
        return None


async def _write(api: WriteApiAsync, bucket: str, lines: list[str], health: Health) -> None:
    """Return when InfluxDB has the lines, or has said that it will never take them; then they are counted."""
    if not lines:
        return
    for wait in jittered_waits():
        try:
            await api.write(bucket, record="\n".join(lines))
        except ApiException as error:
            if error.status not in _BUSY:
                health.count("rejected", len(lines))
                health.fault(f"{len(lines)} points rejected with {error.status}: {str(error.body)[:300]}")
                return
            health.fault(f"influxdb busy: {error.status}")
        except _AWAY as error:
            health.fault(f"influxdb away: {str(error) or repr(error)}")
        else:
            health.count("points", len(lines))
            return
        await asyncio.sleep(wait)
