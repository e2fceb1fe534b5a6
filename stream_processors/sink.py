"""The metrics sink: from Kafka to InfluxDB, in a consumer group of its own, so that its outage delays no answer.

Kafka is the queue: offsets are committed after InfluxDB has the points, and a point written twice is one point.
"""

import asyncio
from collections.abc import Iterable

import aiohttp
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.client.write_api_async import WriteApiAsync
from influxdb_client.rest import ApiException

from models.codec import decode_dead_letter, decode_outcome, decode_state
from models.errors import MalformedMessage
from models.settings import Settings
from models.topics import DEAD_LETTERS, DECISIONS, STATES
from stream_processors.kafka import open_consumer
from stream_processors.points import dead_letter_point, outcome_point, state_point
from stream_processors.service import announce_ready, jittered_waits, serve

__all__ = ["point", "run"]

log = structlog.get_logger()

_GROUP = "fairroll.sink"
_BATCH_S = 1.0
_BATCH_LINES = 5_000
"""Bodies of 2,000 to 5,000 lines were fastest: 180,000 lines/s, against 42,000 with the client's batching."""
_TIMEOUT_MS = 5_000
_BUSY = frozenset({429, 500, 502, 503, 504})
"""Answers after which the same body may be accepted; the others (400, 404, 422) say that it never will be."""


def run(settings: Settings) -> None:
    """Serve until told to stop; several instances share the partitions."""
    serve(lambda: _carry(settings))


def point(record: ConsumerRecord) -> str | None:
    """The line of a Kafka record; None for what is not measured or cannot be read."""
    try:
        if record.topic == STATES:
            site, _, device = record.key.decode().partition("/")
            return state_point(site, device, decode_state(record.value), record.timestamp)
        if record.topic == DEAD_LETTERS:
            return dead_letter_point(decode_dead_letter(record.value), record.offset, record.timestamp)
        return outcome_point(decode_outcome(record.value), record.timestamp)
    except MalformedMessage as error:
        log.error("unreadable record", topic=record.topic, offset=record.offset, reason=str(error))
        return None


async def _carry(settings: Settings) -> None:
    async with (
        InfluxDBClientAsync(
            settings.influx_url, settings.influx_token, settings.influx_org, timeout=_TIMEOUT_MS, enable_gzip=True
        ) as influx,
        open_consumer(settings, DECISIONS, STATES, DEAD_LETTERS, group=_GROUP) as consumer,
    ):
        announce_ready("sink")
        while True:
            lines = await _next_lines(consumer)
            await _write(influx.write_api(), settings.influx_bucket, lines)
            await consumer.commit()


async def _next_lines(consumer: AIOKafkaConsumer) -> list[str]:
    """What has come within a second, at least one record."""
    first = await consumer.getone()
    await asyncio.sleep(_BATCH_S)
    batches = await consumer.getmany(timeout_ms=0, max_records=_BATCH_LINES)
    return _lines([first, *(record for batch in batches.values() for record in batch)])


def _lines(records: Iterable[ConsumerRecord]) -> list[str]:
    return [line for record in records if (line := point(record))]


async def _write(api: WriteApiAsync, bucket: str, lines: list[str]) -> None:
    """Return when InfluxDB has the lines, or has said that it will never take them; then they are counted."""
    if not lines:
        return
    for wait in jittered_waits():
        try:
            await api.write(bucket, record="\n".join(lines))
        except ApiException as error:
            if error.status not in _BUSY:
                log.error("points rejected", lines=len(lines), status=error.status, reason=str(error.body)[:300])
                return
            log.warning("influxdb busy", status=error.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("influxdb away", error=repr(error))
        else:
            return
        await asyncio.sleep(wait)
