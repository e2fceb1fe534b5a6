"""Reads dead letters from Kafka one by one, filters and counts them. Memory does not grow with their number."""

from collections import Counter, deque
from collections.abc import AsyncIterator
from typing import NamedTuple

from msgspec import Struct

from infra.kafka_records import stream_records
from models.contract.codec import decode_dead_letter
from models.contract.dead_letters import DeadLetter
from models.contract.topics import Topics
from models.errors import MalformedMessage
from models.settings import Settings

__all__ = ["Filed", "Filter", "Summary", "read_letters", "summarize"]

_MOST_REASONS = 200
_OTHER_REASONS = "other reasons"
_UNREADABLE = "a dead letter of another version of fairroll"


class Filed(NamedTuple):
    """A dead letter and the time when it was stored."""

    at: float
    """seconds since 1970, by Kafka's clock"""
    letter: DeadLetter


class Filter(Struct, frozen=True, kw_only=True):
    """Selects dead letters; an empty field selects all."""

    site: str = ""
    reason: str = ""
    """a part of the reason, case-insensitive"""

    def lets_pass(self, letter: DeadLetter, topics: Topics) -> bool:
        """Whether the letter is selected. One whose source is no MQTT topic belongs to no site."""
        return self.reason.lower() in letter.reason.lower() and self.site in ("", _site(letter.source, topics))


class Summary:
    """Counts of dead letters by reason, and the newest of them."""

    def __init__(self, limit: int = 0) -> None:
        self.total = 0
        self.newest: deque[Filed] = deque(maxlen=limit)
        self._reasons: Counter[str] = Counter()

    def add(self, filed: Filed) -> None:
        """Count a letter by its reason, without the particulars after the colon."""
        self.total += 1
        self.newest.append(filed)
        reason = filed.letter.reason.partition(":")[0]
        is_new = reason not in self._reasons
        self._reasons[_OTHER_REASONS if is_new and len(self._reasons) >= _MOST_REASONS else reason] += 1

    @property
    def reasons(self) -> dict[str, int]:
        """Return the number for each reason, the most frequent first."""
        return dict(self._reasons.most_common())


async def read_letters(settings: Settings, newest_s: float, wanted: Filter) -> AsyncIterator[Filed]:
    """Yield the selected letters of the last `newest_s` seconds, the oldest first. Raises KafkaAway."""
    topics = settings.topics
    async for record in stream_records(settings, topics.dead_letters, newest_s):
        letter = _letter(record.value or b"")
        if wanted.lets_pass(letter, topics):
            yield Filed(record.timestamp / 1000, letter)


async def summarize(letters: AsyncIterator[Filed], limit: int = 0) -> Summary:
    """Count all, and keep the newest `limit`."""
    summary = Summary(limit)
    async for filed in letters:
        summary.add(filed)
    return summary


def _letter(record: bytes) -> DeadLetter:
    try:
        return decode_dead_letter(record)
    except MalformedMessage:
        return DeadLetter(source="", reason=_UNREADABLE, size=len(record), sha256="")


def _site(source: str, topics: Topics) -> str:
    parts = source.split("/")
    return parts[2] if topics.is_mqtt(source) and len(parts) > 3 else ""  # noqa: PLR2004 - namespace/version/site/...
