"""Records a range of events from Kafka to an archive file."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from models.ledger.rules.policy import Sites
from models.replay.archive import Trailer
from models.settings import Settings
from stream_processors.replay.archive_file import header_of, writing
from stream_processors.replay.kafka_source import Wanted, open_stream
from stream_processors.replay.sources import pipeline_secret
from stream_processors.replay.template_access import Treat, none_at_all, of_simulated_sites
from stream_processors.runtime.key_client import open_keys

__all__ = ["record"]


async def record(
    settings: Settings, wanted: Wanted, sites: Sites, path: Path, report: Callable[[int, int], None]
) -> Trailer:
    """Write the archive and return its trailer.

    `report` is called for each event with the number of events written and the most that may come.

    Raises ConfigError or a KafkaError; the partial file is deleted then.
    """
    secret = pipeline_secret(settings, is_needed=wanted.with_templates)
    async with AsyncExitStack() as stack:
        treat: Treat = none_at_all
        if wanted.with_templates:
            treat = of_simulated_sites(sites, await stack.enter_async_context(open_keys(settings, "decider")))
        stream = await stack.enter_async_context(open_stream(settings, wanted, treat))
        archive = stack.enter_context(writing(path, header_of(stream.recording, secret)))
        async for recorded in stream:
            archive.put(recorded)
            report(archive.events, stream.total)
        return archive.close(stream.unreadable)
