"""The decider: one Faust agent on one topic, around the pure fold."""

import logging
from pathlib import Path
from typing import Any

import faust
import structlog
from faust.transport.drivers.aiokafka import aiokafka as faust_aiokafka
from mode.loop import use

from models.codec import encode
from models.dead_letters import DeadLetter
from models.errors import ConfigError, MalformedMessage
from models.events import Ticked
from models.keys import PIPELINE_KEY, parse_key
from models.outcomes import ControlChanged, Outcome
from models.settings import Settings
from models.topics import CONTROLS, DEAD_LETTERS, DECIDER_GROUP, DECISIONS, EVENTS
from stream_processors.kafka import FETCH_WAIT_MS
from stream_processors.ledger import Ledger, Message
from stream_processors.service import announce_ready, log_to_stderr

__all__ = ["create_app", "run"]

log = structlog.get_logger()

_TICK_S = 5.0
"""How often time moves where nobody comes: half of the changelog's `segment.ms`, so that it is compacted on time."""
_RAW: dict[str, Any] = {
    "key_type": bytes,
    "value_type": bytes,
    "key_serializer": "raw",
    "value_serializer": "raw",
}


class _PromptConsumer(faust_aiokafka.AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """Faust has no setting for how long a fetch may be held back, and asks for 1.5 s."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "fetch_max_wait_ms": FETCH_WAIT_MS})


def run(settings: Settings) -> None:
    """Serve until told to stop."""
    log_to_stderr()
    use("uvloop")
    faust_aiokafka.AIOKafkaConsumer = _PromptConsumer
    for name in ("aiokafka", "faust", "kafka", "mode"):  # their DEBUG records are built at any level
        logging.getLogger(name).setLevel(logging.WARNING)
    app = create_app(settings, _pipeline_secret(settings.secrets / PIPELINE_KEY))
    faust.Worker(app, loglevel=logging.WARNING, redirect_stdouts=False, quiet=True).execute_from_commandline()


def create_app(settings: Settings, pipeline_secret: bytes) -> faust.App:
    """The Faust application: agent, table of accounts, ticks."""
    app = faust.App(
        DECIDER_GROUP,
        broker=f"kafka://{settings.kafka}",
        store="memory://",
        datadir=settings.data / "decider",
        web_enabled=False,
        topic_partitions=settings.partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        producer_linger=0.0,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.5,
        broker_rebalance_timeout=10.0,
    )
    settings.data.mkdir(parents=True, exist_ok=True)
    events = app.topic(EVENTS, **_RAW)
    accounts = app.Table("accounts", partitions=settings.partitions, schema=faust.Schema(**_RAW))
    ledger = Ledger(accounts, pipeline_secret)

    topics = {name: app.topic(name, **_RAW) for name in (DECISIONS, CONTROLS, DEAD_LETTERS)}

    @app.agent(events)
    async def decide(stream: Any) -> None:
        """Fold each event, in the order of its partition, and send what came of it."""
        async for event in stream.events():
            message = _message(event.message)
            for topic, key, value in _fold(ledger, message):
                await topics[topic].send(key=key, value=value, partition=_partition(topic, message))

    @app.timer(_TICK_S)
    async def tick() -> None:
        """Send every partition of ours the time: only an event may change the table."""
        for assigned in app.consumer.assignment():
            if assigned.topic == EVENTS:
                await events.send(value=encode(Ticked()), partition=assigned.partition)

    @accounts.on_recover
    async def recovered() -> None:
        announce_ready("decider")

    @app.on_partitions_revoked.connect
    async def revoked(_app: Any, partitions: Any, **_: Any) -> None:
        for partition in {assigned.partition for assigned in partitions}:
            ledger.drop(partition)

    return app


def _pipeline_secret(file: Path) -> bytes:
    try:
        return parse_key(file.read_text(), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the pipeline's key: {error}; `fairroll provision` makes it") from None


def _fold(ledger: Ledger, message: Message) -> list[tuple[str, bytes, bytes]]:
    """Topic, key and value of every record that an event leads to."""
    try:
        return [_record(outcome) for outcome in ledger.fold(message).outcomes]
    except MalformedMessage as error:
        source = f"{EVENTS}/{message.partition}/{message.offset}"
        log.error("unreadable event", source=source, reason=str(error))
        letter = DeadLetter.of(source, message.value, str(error))
        return [(DEAD_LETTERS, source.encode(), encode(letter))]


def _record(outcome: Outcome) -> tuple[str, bytes, bytes]:
    if isinstance(outcome, ControlChanged):
        return CONTROLS, outcome.site.encode(), encode(outcome.control)
    return DECISIONS, outcome.site.encode(), encode(outcome)


def _message(message: Any) -> Message:
    return Message(message.partition, message.offset, round(message.timestamp * 1000), message.value)


def _partition(topic: str, message: Message) -> int:
    """An event's partition, since all topics are co-partitioned by site; the dead letters have only one."""
    return 0 if topic == DEAD_LETTERS else message.partition
