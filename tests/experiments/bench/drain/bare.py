"""The least that does the decider's job: an aiokafka loop with the same fold, batches, changelog and commits.

It has no table of Faust's, no repair of gaps, no generations, no ticks, no health: what a decider costs beyond this is
the price of those.
"""

import asyncio
import os
import sys
import time

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from infra.kafka_records import read_records
from models.keys.key_files import PIPELINE_KEY, parse_key
from models.keys.seals import Keyring
from models.settings import Settings
from stream_processors.decider.batch import RECORD_BATCH_BYTES, Batch, KeyValue
from stream_processors.decider.faust_producer import send_all
from stream_processors.decider.ledger import Ledger, Message, read

_COMMIT_S = 2.8
"""Faust's period."""
_FETCH_BYTES = 256 * 1024


async def drain(settings: Settings) -> None:
    topics = settings.topics
    table = {record.key: record.value for record in await read_records(settings, topics.accounts_changelog)}
    ledger = Ledger(parse_key((settings.secrets / PIPELINE_KEY).read_text(), ""), Keyring(), topics)
    ledger.begin({key: row for key, row in table.items() if row is not None}, range(settings.partitions))
    consumer = AIOKafkaConsumer(
        topics.events,
        bootstrap_servers=settings.kafka,
        group_id=topics.decider_group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all", max_batch_size=RECORD_BATCH_BYTES)
    async with consumer, producer:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        committed_at, done = time.monotonic(), {}
        while True:
            for partition, records in (await consumer.getmany(timeout_ms=500)).items():
                await _answer(producer, ledger, topics.accounts_changelog, [Message.of(record) for record in records])
                done[TopicPartition(topics.events, partition.partition)] = records[-1].offset + 1
            if done and time.monotonic() - committed_at > _COMMIT_S:
                await consumer.commit(done)
                committed_at, done = time.monotonic(), {}


async def _answer(producer: AIOKafkaProducer, ledger: Ledger, changelog: str, messages: list[Message]) -> None:
    batch = Batch(messages[0].partition)
    for message in messages:
        folded = ledger.fold(message, read(message))
        if not batch.has_room_for(folded):
            await _write(producer, changelog, batch)
            batch = Batch(messages[0].partition)
        batch.add(message, folded, is_redelivered=False)
    await _write(producer, changelog, batch)


async def _write(producer: AIOKafkaProducer, changelog: str, batch: Batch) -> None:
    await (await send_all(producer, batch.records))
    rows = [KeyValue(key, row) for key, row in batch.rows.items()]
    await (await send_all(producer, {(changelog, batch.partition): rows}))


if __name__ == "__main__":
    try:
        uvloop.run(drain(Settings.from_environ(os.environ)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit()
