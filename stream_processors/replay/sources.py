"""Opening what is to be replayed, with what it takes to read it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from models.errors import ConfigError
from models.keys.key_files import KEY_BYTES, PIPELINE_KEY, parse_key, pipeline_id
from models.replay.archive import UnusableArchive
from models.replay.erasures import Erasures
from models.settings import Settings
from stream_processors.decider.ledger import opened
from stream_processors.replay.archive_file import open_archive
from stream_processors.replay.kafka_source import Wanted, events_since, open_stream
from stream_processors.replay.player import Source
from stream_processors.replay.template_access import Treat, none_at_all, still_remembered
from stream_processors.runtime.key_client import Keys, open_keys

__all__ = ["KAFKA", "Asked", "Opened", "open_source", "pipeline_secret"]

KAFKA: Final = "kafka"
"""The source that is no file."""


class Asked(Struct, frozen=True, kw_only=True):
    """What to replay."""

    source: str
    """a file, or KAFKA"""
    since: int = 0
    """of Kafka, milliseconds since 1970"""
    until: int = 0
    warm_up_ms: int = 0
    on_record: bool = False
    """read no template, though it could be read"""


class Opened(Struct, frozen=True, kw_only=True):
    """A source that can be played."""

    source: Source
    pipeline_secret: bytes
    mark: str
    """of its content: the same source, opened again, has the same"""


@asynccontextmanager
async def open_source(settings: Settings, asked: Asked) -> AsyncIterator[Opened]:
    """Raises UnusableArchive, ConfigError or a KafkaError; nothing has been replayed then."""
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
    """What new pseudonyms are made of. On the record they are there already, and nobody needs the secret."""
    file = settings.secrets / PIPELINE_KEY
    try:
        return parse_key(file.read_text(), str(file))
    except (OSError, UnicodeDecodeError) as error:
        if not is_needed:
            return bytes(KEY_BYTES)
        raise ConfigError(f"cannot read the pipeline's key: {error}; without it replay --on-record") from None


def _open_file(settings: Settings, asked: Asked) -> Opened:
    archive = open_archive(Path(asked.source), none_at_all if asked.on_record else None)
    makes_pseudonyms = archive.recording.with_templates and not asked.on_record
    secret = pipeline_secret(settings, is_needed=makes_pseudonyms)
    if makes_pseudonyms and archive.header.pipeline != pipeline_id(secret):
        raise UnusableArchive(
            f"{asked.source}: it is of another pipeline, whose pseudonyms the {PIPELINE_KEY} here cannot make:"
            " replay it --on-record"
        )
    return Opened(source=archive, pipeline_secret=secret, mark=archive.trailer.sha256)


async def _erased_since(settings: Settings, until: int, keys: Keys) -> Erasures:
    """What was erased between the end of the range and now."""
    erasures = Erasures()
    async for event in events_since(settings, until):
        erasures.note(opened(event, keys))
    return erasures
