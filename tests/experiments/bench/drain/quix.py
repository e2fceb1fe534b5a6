"""The decider's job by Quix Streams: the same fold, every row in its state store (RocksDB) and in its changelog.

Its way of being durable differs: outcomes go out at once, rows reach the changelog at a checkpoint, every 2.8 s here,
and offsets are committed after that. A crash repeats up to 2.8 s of events from the state before them. It keeps the
partitions in memory as the decider does, and does not restore them: a run begins with an empty topic.
"""

import os
import sys
from typing import Any

from quixstreams import Application, message_context

from models.contract.topics import Topics
from models.keys.key_files import PIPELINE_KEY, parse_key
from models.keys.seals import Keyring
from models.settings import Settings
from stream_processors.decider.ledger import Ledger, Message, read

_COMMIT_S = 2.8
"""Faust's period."""


def drain(settings: Settings) -> None:
    """Decide until stopped."""
    topics: Topics = settings.topics
    ledger = Ledger(parse_key((settings.secrets / PIPELINE_KEY).read_text(), ""), Keyring(), topics)
    ledger.begin({}, range(settings.partitions))
    application = Application(
        settings.kafka,
        consumer_group=topics.decider_group,
        auto_offset_reset="earliest",
        commit_interval=_COMMIT_S,
        state_dir=settings.data,
        loglevel="ERROR",
    )
    events = application.topic(topics.events, key_deserializer="bytes", value_deserializer="bytes")
    decisions = application.topic(topics.decisions, key_serializer="bytes", value_serializer="bytes")

    def decide(value: bytes, _key: bytes, at: int, _headers: object, state: Any) -> list[bytes]:
        context = message_context()
        message = Message(context.partition, context.offset, at, value)
        folded = ledger.fold(message, read(message))
        for key, row in folded.rows.items():
            if row is None:
                state.delete(key.decode())
            else:
                state.set_bytes(key.decode(), row)
        return [record.value or b"" for record in folded.records]

    application.dataframe(events).apply(decide, stateful=True, expand=True, metadata=True).to_topic(decisions)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    application.run()


if __name__ == "__main__":
    drain(Settings.from_environ(os.environ))
