"""Open a source to replay, with the keys that reading it needs."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from models.errors import ConfigError
from models.keys.key_files import KEY_BYTES, PIPELINE_KEY, pipeline_id
from models.replay.archive import UnusableArchive
from models.replay.erasures import Erasures
from models.settings import Settings
from stream_processors.decider.ledger import opened
from stream_processors.replay.archive_file import open_archive
from stream_processors.replay.kafka_source import Wanted, events_since, open_stream
from stream_processors.replay.player import Source
from stream_processors.replay.template_access import Treat, none_at_all, still_remembered
from stream_processors.runtime.key_client import Keys, open_keys
from stream_processors.runtime.pipeline_identity import read_pipeline_secret

__all__ = ["KAFKA", "Opened", "SourceSpec", "open_source", "pipeline_secret"]

KAFKA: Final = "kafka"
"""Names Kafka as the source instead of a file."""


class SourceSpec(Struct, frozen=True, kw_only=True):
    """The source to replay."""

    source: str
    """a file, or KAFKA"""
    since: int = 0
    """for Kafka: append time, milliseconds since 1970"""
    until: int = 0
    warm_up_ms: int = 0
    on_record: bool = False
    """use recorded identities only"""


class Opened(Struct, frozen=True, kw_only=True):
    """An open source."""

    source: Source
    pipeline_secret: bytes
    mark: str
    """identifies the content: the same source opened again has the same mark"""


@asynccontextmanager
async def open_source(settings: Settings, asked: SourceSpec) -> AsyncIterator[Opened]:
    """Open the source. Raises UnusableArchive, ConfigError or a KafkaError before anything is replayed."""
    if asked.source != KAFKA:
        yield _open_file(settings, asked)
        return
    async with AsyncExitStack() as stack:
        treat: Treat = none_at_all
        if not asked.on_record:
            keys = await stack.enter_async_context(open_keys(settings, "decider"))
            treat = still_remembered(keys, await _erased_since(settings, asked.until, keys))
        wanted = Wanted(since=asked.since, until=asked.until, warm_up_ms=asked.warm_up_ms)
        stream = await stack.enter_async_context(open_stream(settings, wanted, treat))
        secret = pipeline_secret(settings, is_needed=not asked.on_record)
        yield Opened(source=stream, pipeline_secret=secret, mark=str(stream.recording.first))


def pipeline_secret(settings: Settings, *, is_needed: bool) -> bytes:
    """Return the secret that pseudonyms are derived from; replays by record do not need it."""
    try:
        return read_pipeline_secret(settings.secrets)
    except ConfigError as error:
        if not is_needed:
            return bytes(KEY_BYTES)
        raise ConfigError(f"{error}, or replay --on-record") from None


def _open_file(settings: Settings, asked: SourceSpec) -> Opened:
    archive = open_archive(Path(asked.source), none_at_all if asked.on_record else None)
    makes_pseudonyms = archive.recording.with_templates and not asked.on_record
    secret = pipeline_secret(settings, is_needed=makes_pseudonyms)
    if makes_pseudonyms and archive.header.pipeline != pipeline_id(secret):
        raise UnusableArchive(
            f"{asked.source}: it belongs to another pipeline, whose pseudonyms {PIPELINE_KEY} cannot derive:"
            " replay it --on-record"
        )
    return Opened(source=archive, pipeline_secret=secret, mark=archive.trailer.sha256)


async def _erased_since(settings: Settings, until: int, keys: Keys) -> Erasures:
    """Return the erasures between the end of the range and now."""
    erasures = Erasures()
    async for event in events_since(settings, until):
        erasures.note(opened(event, keys))
    return erasures
