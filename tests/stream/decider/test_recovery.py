"""A decider that finds Kafka otherwise than it left it: absent, without some events, with a row that it cannot read."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from infra.local.ports import Ports
from infra.local.programs import BROKERS
from infra.local.stack import LocalStack
from models.contract.codec import decode_dead_letter, encode
from models.contract.dead_letters import DeadLetter
from models.contract.messages import ButtonPressed
from models.ledger.codec import decode_outcome
from models.ledger.events import Requested
from models.ledger.outcomes import Answered
from models.settings import Settings
from stream_processors.decider.watchdog import EXIT_CODE
from stream_processors.runtime.consumer_lag import ConsumerLag, read_consumer_lag
from stream_processors.runtime.health import Vitals
from stream_processors.runtime.kafka import open_admin, open_consumer, open_producer
from tests.support.services import Service, away

_PARTITION = 1


async def test_a_decider_waits_for_kafka_not_ready_and_alive(tmp_path: Path) -> None:
    async with _brokers(tmp_path) as stack:
        decider = Service("decider", stack.settings)
        async with away(stack, "kafka"):
            starting = asyncio.create_task(decider.start())
            assert (await _vitals(decider)).alive
            await decider.until_not_ready("broker lost")
        await starting
        await decider.stop()


async def test_events_that_kafka_deleted_are_reported_once_and_committed_past(tmp_path: Path) -> None:
    async with _brokers(tmp_path) as stack:
        settings, decider = stack.settings, Service("decider", stack.settings)
        await decider.start()
        await _ask(settings, 0, 3)
        await _until_answered(settings, 2)
        await decider.stop()
        await _ask(settings, 3, 9)
        async with open_admin(settings) as admin:
            await admin.delete_records({_events(settings): RecordsToDelete(await _end(settings) - 2)})
        before = await _backlog(settings)
        assert (before.lost > 0, before.records) == (True, 2)
        await decider.start()
        await _until_answered(settings, 8)
        vitals = (await decider.vitals())[1]
        assert vitals.counts["lost"] == before.lost
        assert vitals.last_fault
        assert "deleted before they were read" in vitals.last_fault.text
        await decider.stop()
        assert (await _backlog(settings)).lost == 0
        await decider.start()
        await _ask(settings, 9, 10)
        await _until_answered(settings, 9)
        assert (await decider.vitals())[1].counts["lost"] == 0
        await decider.stop()


async def test_a_row_that_cannot_be_read_stops_a_decider_before_it_is_ready_until_it_is_set_aside(
    tmp_path: Path,
) -> None:
    async with _brokers(tmp_path) as stack:
        settings = stack.settings
        place = await _write_row(settings, b"1/visitor2/park/someone", b'{"kind":"visitor2"}')
        ended = _fairroll(settings, "decider")
        assert ended.returncode == EXIT_CODE
        assert "ready" not in ended.stdout
        assert f"cannot read row {place}" in ended.stderr
        assert "visitor2/park/*" in ended.stderr
        assert f"`fairroll set-aside {place}`" in ended.stderr
        assert "someone" not in ended.stderr
        assert _fairroll(settings, "set-aside", place).returncode == 0
        decider = Service("decider", settings)
        await decider.start()
        await decider.stop()
        letter = await _dead_letter(settings)
        assert letter.source == f"{settings.topics.accounts_changelog}/{place}"


async def test_a_row_that_can_be_read_or_is_none_is_not_set_aside(tmp_path: Path) -> None:
    async with _brokers(tmp_path) as stack:
        settings = stack.settings
        place = await _write_row(settings, b"1/partition", b'{"kind":"partition","offset":7,"at":1}')
        for wrong in (place, f"{_PARTITION}/999"):
            refused = _fairroll(settings, "set-aside", wrong)
            assert refused.returncode == 1
            assert refused.stderr.startswith("fairroll: ")


@asynccontextmanager
async def _brokers(folder: Path) -> AsyncIterator[LocalStack]:
    """Brokers and topics, no decider."""
    (folder / "sites.toml").write_text('[sites.park]\ndevices = ["d"]\n')
    environ = {"FAIRROLL_SITES": str(folder / "sites.toml")}
    async with LocalStack(folder, programs=(*BROKERS, "decider"), ports=Ports.free(), environ=environ) as stack:
        await stack.stop("decider")
        yield stack


def _fairroll(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "infra.cli", *arguments),
        env=settings.to_environ() | {"PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def _vitals(service: Service) -> Vitals:
    """As soon as it serves them."""
    async with asyncio.timeout(20):
        while True:
            try:
                return (await service.vitals())[1]
            except OSError:
                await asyncio.sleep(0.1)


def _events(settings: Settings) -> TopicPartition:
    return TopicPartition(settings.topics.events, _PARTITION)


async def _ask(settings: Settings, first: int, end: int) -> None:
    async with open_producer(settings) as producer:
        for number in range(first, end):
            event = Requested(site="park", device="d", request=ButtonPressed(id=_id(number)))
            await producer.send_and_wait(settings.topics.events, encode(event), partition=_PARTITION)


def _id(number: int) -> str:
    return f"request-{number:010}"


async def _until_answered(settings: Settings, number: int) -> None:
    async with asyncio.timeout(30), open_consumer(settings, settings.topics.decisions, group=None) as decisions:
        async for record in decisions:
            outcome = decode_outcome(record.value)
            if isinstance(outcome, Answered) and outcome.command.request == _id(number):
                return


async def _end(settings: Settings) -> int:
    async with open_consumer(settings, group=None) as consumer:
        return (await consumer.end_offsets([_events(settings)]))[_events(settings)]  # type: ignore[no-any-return]  # untyped


async def _backlog(settings: Settings) -> ConsumerLag:
    topics = settings.topics
    [found] = [one for one in await read_consumer_lag(settings) if one.group == topics.decider_group]
    return found


async def _write_row(settings: Settings, key: bytes, row: bytes) -> str:
    """Returns its place."""
    async with open_producer(settings) as producer:
        sent = await producer.send_and_wait(settings.topics.accounts_changelog, row, key=key, partition=_PARTITION)
    return f"{sent.partition}/{sent.offset}"


async def _dead_letter(settings: Settings) -> DeadLetter:
    async with asyncio.timeout(30), open_consumer(settings, settings.topics.dead_letters, group=None) as letters:
        async for record in letters:
            return decode_dead_letter(record.value)
    raise AssertionError
