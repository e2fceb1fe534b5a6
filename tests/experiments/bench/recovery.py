"""How long a decider recovers, and the memory it has then, by the rows in its changelog."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from aiokafka import AIOKafkaProducer
from msgspec import structs

from infra.local.ports import Ports
from infra.local.stack import LocalStack
from infra.setup.provision import provision
from models.contract.messages import FaceSeen
from models.ledger.events import Record, Requested, SiteConfigured
from models.ledger.partition import Partition
from models.ledger.rows import VisitorAccount
from models.ledger.rules.policy import Policy
from models.settings import Settings
from stream_processors.decider.batch import RECORD_BATCH_BYTES
from stream_processors.decider.ledger import row_bytes
from tests.experiments.bench.drain.contestants import decider, ready
from tests.experiments.bench.parts import Part, Row

__all__ = ["recovery"]

_SITE, _MODEL = "park", "synthetic/1"
_START = 1_700_000_000_000
_NOTE = "From the start of the process until it is ready, 5 s of it waiting for a key holder that does not run here."


async def recovery(folder: Path, turns: int, *, sizes: tuple[int, ...] = (0, 10_000, 100_000)) -> list[Part]:
    """Start a decider over changelogs of several sizes, each with visitors of one site."""
    (folder / "sites.toml").write_text(f'[sites.{_SITE}]\nmode = "face"\ndevices = ["d0"]\n')
    environ = {"FAIRROLL_SITES": str(folder / "sites.toml")}
    seconds, megabytes = ({size: list[float]() for size in sizes} for _ in range(2))
    async with LocalStack(folder, programs=("kafka",), ports=Ports.free(), environ=environ) as stack:
        for size in sizes:
            settings = structs.replace(stack.settings, namespace=f"rows-{size}", data=folder / str(size))
            await provision(settings)
            await _write(settings, size)
            for _ in range(turns):
                started = time.monotonic()
                async with ready(decider("").command, settings) as worker:
                    seconds[size].append(time.monotonic() - started)
                    megabytes[size].append(_resident_mb(worker.pid))
    return [
        Part("recovery", "start of a decider, by rows in its changelog", "s", _rows(seconds), f"{sizes[0]:,}", _NOTE),
        Part("memory", "resident memory after that", "MB", _rows(megabytes), f"{sizes[0]:,}"),
    ]


def _rows(values: dict[int, list[float]]) -> tuple[Row, ...]:
    return tuple(Row(f"{size:,}", tuple(some)) for size, some in values.items())


async def _write(settings: Settings, rows: int) -> None:
    changelog = settings.topics.accounts_changelog
    options = {"bootstrap_servers": settings.kafka, "max_batch_size": RECORD_BATCH_BYTES, "linger_ms": 5}
    async with AIOKafkaProducer(**options) as producer:
        for number, (key, row) in enumerate(_visitors(rows)):
            partition = number % settings.partitions
            await producer.send(changelog, row, key=f"{partition}/{key}".encode(), partition=partition)
        await producer.flush()


def _visitors(number: int) -> Iterator[tuple[str, bytes]]:
    """Rows as the fold writes them, of strangers who were granted paper once."""
    partition, rng = Partition(bytes(32)), np.random.default_rng(1)
    partition.fold(Record(offset=0, at=_START, event=SiteConfigured(site=_SITE, mode="face", policy=Policy())))
    face = FaceSeen(id="request-0000000000", model=_MODEL, template=rng.bytes(64))
    decision = partition.fold(Record(offset=1, at=_START, event=Requested(site=_SITE, device="d0", request=face)))
    row, prefix = decision.row, decision.key.rpartition("/")[0]
    assert isinstance(row, VisitorAccount)
    for n in range(number):
        entry = structs.replace(row.entries[0], id=f"request-{n:010}", device=f"d{n % 200}")
        yield (
            f"{prefix}/{rng.bytes(16).hex()}",
            row_bytes(structs.replace(row, offset=n, template=rng.bytes(64), entries=(entry,))),
        )


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    [kibibytes] = re.findall(r"VmRSS:\s+(\d+) kB", status)
    return int(kibibytes) / 1024
