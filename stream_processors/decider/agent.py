"""The decider: one Faust agent on one topic, around the pure fold."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import faust
import structlog
from faust.types.auth import CredentialsT
from mode import Service
from mode.loop import use

from models.contract.codec import encode
from models.contract.dead_letters import DeadLetter
from models.contract.topics import Topics
from models.errors import ConfigError, MalformedMessage, Undecidable
from models.keys.key_files import PIPELINE_KEY, parse_key, pipeline_id
from models.ledger.decision import Decision
from models.ledger.events import Ticked
from models.ledger.outcomes import ControlChanged, Outcome, Receipt
from models.settings import Settings
from stream_processors.decider.faust_consumer import install
from stream_processors.decider.gap_repair import missing_messages
from stream_processors.decider.ledger import Ledger, Message, read
from stream_processors.decider.partition_keys import WorkerKeys
from stream_processors.decider.watchdog import Watchdog, give_up
from stream_processors.runtime.health import Health, served
from stream_processors.runtime.kafka import SASL_MECHANISM, kafka_tls
from stream_processors.runtime.pipeline_identity import check_kafka
from stream_processors.runtime.service import again_after_outages, announce_ready, log_to_stderr

__all__ = ["create_app", "run"]

log = structlog.get_logger()

_TICK_S = 5.0
"""How often time moves where nobody comes: half of the changelog's `segment.ms`, so that it is compacted on time."""
_SEND_S = 4.0
"""How long a send is tried again: less than Kafka takes to give the partitions of a silent worker to another."""
_Record = tuple[str, bytes, bytes]
"""topic, key, value"""
_RAW: dict[str, Any] = {
    "key_type": bytes,
    "value_type": bytes,
    "key_serializer": "raw",
    "value_serializer": "raw",
}


def run(settings: Settings) -> None:
    """Serve until told to stop."""
    log_to_stderr()
    use("uvloop")
    install()
    for name in ("aiokafka", "faust", "kafka", "mode"):  # their DEBUG records are built at any level
        logging.getLogger(name).setLevel(logging.WARNING)
    watchdog = Watchdog().start()
    counts = ("decided", "redelivered", "repaired", "rebalances")
    health = Health("decider", settings.instance, counts=counts, alive=lambda: watchdog.stuck(time.monotonic()) is None)
    keys = WorkerKeys(settings, health)
    secret = _pipeline_secret(settings.secrets / PIPELINE_KEY)
    try:
        asyncio.run(_check_pipeline(settings, pipeline_id(secret), health))
    except KeyboardInterrupt:
        return
    app = create_app(settings, secret, keys, health, watchdog)
    told = _Running(served(health, settings.health))
    worker = faust.Worker(app, told, keys, loglevel=logging.WARNING, redirect_stdouts=False, quiet=True)
    worker.spinner = None  # it writes to a log file as to a terminal
    worker.execute_from_commandline()


def create_app(
    settings: Settings, pipeline_secret: bytes, keys: WorkerKeys, health: Health, watchdog: Watchdog
) -> faust.App:
    """The Faust application: one agent, the table of accounts, the ticks."""
    settings.data.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        settings.topics.decider_group,
        broker=f"kafka://{settings.kafka}",
        broker_credentials=_credentials(settings),
        store="memory://",
        datadir=settings.data / "decider",
        web_enabled=False,
        topic_partitions=settings.partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        producer_linger=0.0,
        producer_request_timeout=_SEND_S,
        table_standby_replicas=0,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.5,
        broker_rebalance_timeout=10.0,
    )
    accounts = app.Table("accounts", partitions=settings.partitions, key_type=bytes, value_type=bytes)
    decider = _Decider(app, settings, Ledger(accounts, pipeline_secret, keys), keys, health, watchdog)
    app.agent(decider.events, name="decide")(decider.decide)
    app.timer(_TICK_S)(decider.tick)
    app.on_partitions_revoked.connect(decider.end)
    accounts.on_recover(decider.begin)
    return app


def _credentials(settings: Settings) -> CredentialsT | None:
    tls = kafka_tls(settings)
    if settings.kafka_user:
        return faust.SASLCredentials(
            username=settings.kafka_user,
            password=settings.kafka_password,
            mechanism=SASL_MECHANISM,
            ssl_context=tls,
        )
    return faust.SSLCredentials(tls) if tls else None


class _Running(Service):  # type: ignore[misc]  # mode has no types
    """A context that is open while the worker runs."""

    def __init__(self, context: AbstractAsyncContextManager[None]) -> None:
        super().__init__()
        self._context = context

    async def on_start(self) -> None:
        await self.add_async_context(self._context)


class _Decider:
    """What the application does, event by event."""

    def __init__(
        self, app: faust.App, settings: Settings, ledger: Ledger, keys: WorkerKeys, health: Health, watchdog: Watchdog
    ) -> None:
        self._app = app
        self._settings = settings
        topics = settings.topics
        self.events = app.topic(topics.events, **_RAW)
        self._topics = {
            name: app.topic(name, **_RAW)
            for name in (topics.decisions, topics.controls, topics.receipts, topics.dead_letters)
        }
        self._ledger = ledger
        self._keys = keys
        self._health = health
        self._watchdog = watchdog
        self._is_without_keys = False

    async def decide(self, stream: Any) -> None:
        """Fold each event, in the order of its partition; what Faust left out is read from Kafka first.

        Whatever fails here ends the worker: Faust would acknowledge the event all the same and go on with the next.
        """
        try:
            async for event in stream.events():
                async for message in self._with_missing(_message(event.message)):
                    if self._ledger.is_complete:  # else its partition was revoked while it was under way
                        await self._answer(message)
        except Exception as error:  # noqa: BLE001 - see above
            give_up("an event could not be decided", error=repr(error))

    async def _with_missing(self, message: Message) -> AsyncIterator[Message]:
        if self._ledger.is_complete:
            next_offset = self._ledger.next_offset(message.partition)
            async for missing in missing_messages(self._settings, message.partition, next_offset, message.offset):
                self._health.count("repaired")
                yield missing
        yield message

    async def _answer(self, message: Message) -> None:
        """Say what is decided, then write it: see Ledger."""
        self._watchdog.check()
        is_new = message.offset >= self._ledger.next_offset(message.partition)
        decision, records = await self._fold(message)
        for outcome in decision.outcomes:
            if isinstance(outcome, ControlChanged) and outcome.control.mode != "face":
                self._keys.forget(outcome.site)
        for topic, key, value in records:
            await self._topics[topic].send(key=key, value=value, partition=self._partition(topic, message))
            if topic == self._settings.topics.dead_letters:
                self._health.fault("dead letter")
        if self._ledger.is_complete:  # else its partition was revoked meanwhile, and the next owner decides alike
            self._ledger.write(message.partition, decision)
        self._health.count("decided" if is_new else "redelivered")
        self._watchdog.moved(message.partition)

    async def _fold(self, message: Message) -> tuple[Decision, list[_Record]]:
        """What is decided of an event, and every record that says so."""
        try:
            record = read(message)
            await self._keys.fetch_for(record.event)
            self._read_rows_again()
            if not self._ledger.is_complete:  # its partition was revoked meanwhile
                return Decision(outcomes=()), []
            decision = self._ledger.fold(message.partition, record)
        except (MalformedMessage, Undecidable) as error:
            topics = self._settings.topics
            source = f"{topics.events}/{message.partition}/{message.offset}"
            log.error("unreadable event", source=source, reason=str(error))
            letter = DeadLetter.of(source, message.value, str(error), topics)
            return self._ledger.pass_over(message), [
                (self._settings.topics.dead_letters, source.encode(), encode(letter))
            ]
        return decision, [_record(outcome, self._settings.topics) for outcome in decision.outcomes]

    def _read_rows_again(self) -> None:
        """Rows that were read while the key holder was away have no templates: read them again once it answers."""
        if self._is_without_keys and not self._keys.is_away:
            self._is_without_keys = False
            self._ledger.reread()

    async def tick(self) -> None:
        """Send every partition of ours the time, and the end of its sites' epochs: only an event changes the table."""
        for number in self._partitions():
            await self.events.send(value=encode(Ticked()), partition=number)
            for ended in self._ledger.partition(number).ended_epochs() if self._ledger.is_complete else ():
                await self.events.send(key=ended.site.encode(), value=encode(ended), partition=number)

    async def begin(self) -> None:
        """The table is complete: what comes now is decided on all that was, as far as its keys are there."""
        await self._keys.ready()
        self._is_without_keys = self._keys.is_away
        self._ledger.begin()
        self._watchdog.expect(self._partitions())
        self._health.ready = True
        announce_ready("decider")

    async def end(self, *_: Any, **__: Any) -> None:
        """Partitions may be another worker's from now on: nothing of them stays, and recovery starts empty."""
        self._health.ready = False
        self._health.count("rebalances")
        self._watchdog.pause()
        self._ledger.end()
        self._app.tables["accounts"].data.clear()  # not through the table, which would write tombstones
        self._app.tables.recovery.active_offsets.clear()  # else only what came since the last recovery is read

    def _partitions(self) -> set[int]:
        events = self._settings.topics.events
        return {assigned.partition for assigned in self._app.consumer.assignment() if assigned.topic == events}

    def _partition(self, topic: str, message: Message) -> int:
        """An event's partition, since all topics are co-partitioned by site; the dead letters have only one."""
        return 0 if topic == self._settings.topics.dead_letters else message.partition


async def _check_pipeline(settings: Settings, own: str, health: Health) -> None:
    """Return once Kafka's topics are known to be this pipeline's, however long Kafka is unreachable."""

    async def check() -> None:
        await check_kafka(settings, own)

    async with served(health, settings.health):
        await again_after_outages(check, health)


def _pipeline_secret(file: Path) -> bytes:
    try:
        return parse_key(file.read_text(), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the pipeline's key: {error}; `fairroll provision` makes it") from None


def _record(outcome: Outcome, topics: Topics) -> _Record:
    if isinstance(outcome, ControlChanged):
        return topics.controls, outcome.site.encode(), encode(outcome.control)
    if isinstance(outcome, Receipt):
        return topics.receipts, outcome.site.encode(), encode(outcome)
    return topics.decisions, outcome.site.encode(), encode(outcome)


def _message(message: Any) -> Message:
    return Message(message.partition, message.offset, round(message.timestamp * 1000), message.value)
