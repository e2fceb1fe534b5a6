"""The changelog of the decider's table, read without Faust: finds rows, and removes unreadable ones."""

from aiokafka import ConsumerRecord, TopicPartition

from models.contract.codec import encode
from models.contract.dead_letters import DeadLetter
from models.errors import FairrollError
from models.keys.seals import Keyring
from models.settings import Settings
from stream_processors.decider.ledger import Ledger, UnreadableRow
from stream_processors.runtime.kafka import open_consumer, open_producer, read_to_end

__all__ = ["described", "set_aside"]

_IMPERSONAL = ("dispenser", "partition", "site")
"""kinds of rows whose keys contain no visitor"""


async def described(settings: Settings, error: UnreadableRow) -> str:
    """Describe an unreadable row: the reason, its position, and the remedies."""
    topic = settings.topics.accounts_changelog
    row = _newest(await _read(settings, error.partition), error.key)
    place = f"{error.partition}/{row.offset}" if row else f"{error.partition}/?"
    return (
        f"cannot read row {place} of {topic}, key {_shown(error.key)}: {error}."
        " A newer fairroll may have written it: start that version."
        f" To go on without what the row remembers: `fairroll set-aside {place}`"
    )


async def set_aside(settings: Settings, partition: int, offset: int) -> str:
    """Remove an unreadable row from the table, leave a dead letter of it, and return its key without a visitor.

    What the row remembered is lost. Raises FairrollError where the record at this offset is no row, is replaced
    already, or can be read by this version.
    """
    records = await _read(settings, partition)
    place = f"{settings.topics.accounts_changelog}/{partition}/{offset}"
    found = [record for record in records if record.offset == offset and record.value is not None]
    if not found:
        raise FairrollError(f"there is no row at {place}")
    [row] = found
    if any(later.key == row.key for later in records if later.offset > offset):
        raise FairrollError(f"the row at {place} is replaced already by a later one of its key")
    reason = _why_unreadable(settings, row)
    if reason is None:
        raise FairrollError(f"the row at {place} can be read: it stays")
    async with open_producer(settings) as producer:
        letter = DeadLetter.of(place, row.value, reason, settings.topics)
        await producer.send_and_wait(settings.topics.dead_letters, encode(letter), key=place.encode())
        await producer.send_and_wait(settings.topics.accounts_changelog, None, key=row.key, partition=partition)
    return _shown(row.key)


async def _read(settings: Settings, partition: int) -> list[ConsumerRecord]:
    changelog = TopicPartition(settings.topics.accounts_changelog, partition)
    async with open_consumer(settings, group=None) as consumer:
        consumer.assign([changelog])
        await consumer.seek_to_beginning(changelog)
        return await read_to_end(consumer, [changelog])


def _newest(records: list[ConsumerRecord], key: bytes) -> ConsumerRecord | None:
    return next((record for record in reversed(records) if record.key == key), None)


def _why_unreadable(settings: Settings, row: ConsumerRecord) -> str | None:
    try:
        Ledger(b"", Keyring(), settings.topics).begin({row.key: row.value}, [row.partition])
    except UnreadableRow as error:
        return str(error)
    return None


def _shown(key: bytes) -> str:
    """Return a table key; its last part is left out if it may be a pseudonym."""
    _, *names = key.decode(errors="replace").split("/")
    is_known = names[:1] in ([kind] for kind in _IMPERSONAL)
    return "/".join(names if is_known else [*names[:-1], "*"])
