"""`fairroll audit`."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
from rich.console import Console

from infra.audit.audit import GROUPS, Scope
from infra.audit.audit import audit as audit_everywhere
from infra.audit.influx import publish as write_point
from infra.audit.report import Report
from infra.audit.screen import screen
from infra.kafka_records import KafkaAway
from infra.operator_settings import operator_settings
from infra.sites.registry import read_registry
from models.ledger.rules.policy import Sites
from models.settings import Settings
from stream_processors.runtime.service import log_to_stderr

__all__ = ["audit"]

_FOLDER = click.Path(path_type=Path)


@click.command()
@click.option("--kafka-data", type=_FOLDER, help="The broker's log.dirs; FAIRROLL_DATA/kafka if not given.")
@click.option("--logs", type=_FOLDER, help="Folder or file of logs; `logs` next to FAIRROLL_DATA by default.")
@click.option("--files", type=_FOLDER, multiple=True, help="Recordings, exports, copies; may be given several times.")
@click.option("--skip", type=click.Choice(GROUPS), multiple=True, help="Places of another audit.")
@click.option("--limit", default=600.0, show_default=True, help="Seconds for each place.")
@click.option("--publish", is_flag=True, help="Write the result to InfluxDB, as a point of `audits`.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
def audit(
    kafka_data: Path | None,
    logs: Path | None,
    files: tuple[Path, ...],
    skip: tuple[str, ...],
    limit: float,
    *,
    publish: bool,
    as_json: bool,
) -> None:
    """Search everything for readable faces (docs/audit.md).

    Templates, embeddings, pictures, keys and visitors' pseudonyms, in Kafka, MQTT, InfluxDB, logs and files.
    Exit code 0 when all is clean, 1 when something was found, 2 when a place could not be read.
    """
    log_to_stderr()
    settings = operator_settings()
    scope = Scope(
        broker_files=kafka_data or settings.data / "kafka",
        logs=logs or settings.data.parent / "logs",
        files=files,
        skip=frozenset(skip),
        limit_s=limit,
    )
    console = Console()
    with Console(stderr=True).status("reading") as status:
        report = asyncio.run(_audit(settings, scope, lambda name: status.update(f"reading {name}")))
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        console.print(screen(report))
    if publish:
        asyncio.run(write_point(settings, report))
    sys.exit(report.exit_code)


async def _audit(settings: Settings, scope: Scope, progress: Callable[[str], None]) -> Report:
    """Without Kafka no site is known, and every topic is unread."""
    try:
        sites = await read_registry(settings)
    except KafkaAway:
        sites = Sites(sites={})
    return await audit_everywhere(settings, sites, scope, progress)
