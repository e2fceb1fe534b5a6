"""The decider as a service: a Faust application with one agent, one table and one timer."""

import asyncio
import logging
import time
from contextlib import AbstractAsyncContextManager

import faust
from faust.types.auth import CredentialsT
from mode import Service
from mode.loop import use

from models.keys.key_files import pipeline_id
from models.settings import Settings
from stream_processors.decider.agent import Decider
from stream_processors.decider.batch import RECORD_BATCH_BYTES
from stream_processors.decider.faust_consumer import install_consumer
from stream_processors.decider.faust_producer import install_producer
from stream_processors.decider.partition_keys import WorkerKeys
from stream_processors.decider.watchdog import Watchdog
from stream_processors.runtime.health import Health, served
from stream_processors.runtime.kafka import SASL_MECHANISM, kafka_tls
from stream_processors.runtime.pipeline_identity import check_kafka, read_pipeline_secret
from stream_processors.runtime.service import again_after_outages, log_to_stderr

__all__ = ["create_app", "run"]

_TICK_S = 5.0
"""Period of ticks: half of the changelog's `segment.ms`, so that it is compacted on time."""
_SEND_S = 4.0
"""How long a send is tried again: less than Kafka takes to give the partitions of a silent worker to another."""
_FETCH_BYTES = 256 * 1024
"""Of a partition, so that it does not keep the others waiting: about 800 events."""
_CHECK_S = 10.0
"""How long one attempt to read Kafka may take before the application starts: a broker may accept and never answer."""


def run(settings: Settings) -> None:
    """Serve until stopped."""
    log_to_stderr()
    use("uvloop")
    install_consumer()
    install_producer()
    for name in ("aiokafka", "faust", "kafka", "mode"):  # their DEBUG records are built at any level
        logging.getLogger(name).setLevel(logging.WARNING)
    watchdog = Watchdog()
    counts = ("decided", "redelivered", "repaired", "lost", "rebalances")
    health = Health("decider", settings.instance, counts=counts, alive=lambda: watchdog.stuck(time.monotonic()) is None)
    keys = WorkerKeys(settings, health)
    secret = read_pipeline_secret(settings.secrets)
    try:
        asyncio.run(_check_pipeline(settings, pipeline_id(secret), health))
    except KeyboardInterrupt:
        return
    watchdog.start()
    app = create_app(settings, secret, keys, health, watchdog)
    started = _Running(served(health, settings.health))
    worker = faust.Worker(app, started, keys, loglevel=logging.WARNING, redirect_stdouts=False, quiet=True)
    worker.spinner = None  # it writes to a log file as to a terminal
    worker.execute_from_commandline()


async def _check_pipeline(settings: Settings, own: str, health: Health) -> None:
    """Return once Kafka's topics are known to be this pipeline's, however long Kafka is unreachable."""

    async def check() -> None:
        async with asyncio.timeout(_CHECK_S):
            await check_kafka(settings, own)

    async with served(health, settings.health):
        await again_after_outages(check, health)


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
        consumer_max_fetch_size=_FETCH_BYTES,
        producer_linger=0.0,
        producer_max_batch_size=RECORD_BATCH_BYTES,
        producer_request_timeout=_SEND_S,
        table_standby_replicas=0,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.5,
        broker_rebalance_timeout=10.0,
    )
    decider = Decider(app, settings, pipeline_secret, keys, health, watchdog)
    app.agent(decider.events, name="decide")(decider.decide)
    app.timer(_TICK_S)(decider.tick)
    app.on_partitions_revoked.connect(decider.end)
    decider.accounts.on_recover(decider.begin)
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
