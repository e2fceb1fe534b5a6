"""What ingress makes of registrations and controls, whatever order they come in."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from msgspec import structs

from models.contract.codec import encode
from models.contract.messages import Control, Revision
from models.contract.site_records import Headers, revision_header
from models.contract.topics import Topics
from models.ledger.rules.policy import SiteSpec
from models.ledger.rules.registry import RegisteredSite
from stream_processors.ingress.site_follower import SiteFollower
from stream_processors.runtime.health import Health

TOPICS = Topics()
FACES = Control(
    site="park",
    mode="face",
    revision=Revision(1000, 2),
    policy="0123456789ab",
    epoch=0,
    ration_cm=60,
    ration_budget_cm=6000,
    window_s=540,
)
HELD = structs.replace(FACES, mode="held", revision=Revision(1000, 4))
REMOVAL = (revision_header(Revision(1000, 6)),)


class Kept(NamedTuple):
    """A record as aiokafka returns it."""

    topic: str
    value: bytes | None
    offset: int
    headers: Headers = ()
    key: bytes = b"park"
    partition: int = 0


class Consumer:
    """Records of two topics, of which some are appended later."""

    def __init__(self, records: Sequence[Kept]) -> None:
        self.records = list(records)
        self._read = 0

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(topic, 0) for topic in (TOPICS.sites, TOPICS.controls)}

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {p: max((one.offset + 1 for one in self.records if one.topic == p.topic), default=0) for p in partitions}

    async def position(self, partition: TopicPartition) -> int:
        read = self.records[: self._read]
        return max((one.offset + 1 for one in read if one.topic == partition.topic), default=0)

    async def getmany(self, timeout_ms: int) -> dict[TopicPartition, list[Kept]]:
        if self._read == len(self.records):
            await asyncio.sleep(min(timeout_ms / 1000, 0.01))
        some, self._read = self.records[self._read :], len(self.records)
        return {TopicPartition(one.topic, 0): [each for each in some if each.topic == one.topic] for one in some}


class Seals:
    """Where faces are taken."""

    def __init__(self) -> None:
        self.modes: dict[str, str | None] = {}

    def follow(self, site: str, control: Control | None) -> None:
        self.modes[site] = control.mode if control else None


def registered(*devices: str, revision: Revision = FACES.revision) -> bytes:
    return encode(RegisteredSite(site="park", revision=revision, spec=SiteSpec(devices=devices)))


def follower(*records: Kept) -> tuple[SiteFollower, Any, Consumer]:
    seals, consumer = Seals(), Consumer(records)
    return SiteFollower(consumer, TOPICS, seals, Health("ingress", "1")), seals, consumer  # type: ignore[arg-type]  # fakes


async def test_a_late_control_turns_no_faces_on_again() -> None:
    held = Kept(TOPICS.controls, encode(HELD), 0)
    late = Kept(TOPICS.controls, encode(FACES), 1)
    following, seals, _ = follower(held, late)
    await following.read()
    assert seals.modes == {"park": "held"}


async def test_a_removed_site_is_unknown_and_without_faces_whatever_comes_late() -> None:
    following, seals, _ = follower(
        Kept(TOPICS.sites, registered("gate"), 0),
        Kept(TOPICS.controls, encode(FACES), 0),
        Kept(TOPICS.sites, None, 1, REMOVAL),
        Kept(TOPICS.controls, None, 1, REMOVAL),
        Kept(TOPICS.sites, registered("gate"), 2),
        Kept(TOPICS.controls, encode(FACES), 2),
    )
    await following.read()
    assert seals.modes == {"park": None}
    assert not following.sites.knows("park", "gate")
    assert following.is_stray("park", "gate")


async def test_a_dispenser_is_refused_only_after_kafka_was_read_to_its_end() -> None:
    following, _, consumer = follower(Kept(TOPICS.sites, registered("gate"), 0))
    await following.read()
    running = asyncio.create_task(following.follow())
    try:
        consumer.records.append(Kept(TOPICS.sites, registered("gate", "door", revision=Revision(2000, 9)), 1))
        await following.catch_up_for("park", "door")
        assert following.sites.knows("park", "door")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_dispensers_of_a_site_that_cannot_be_read_are_no_strays() -> None:
    following, _, _ = follower(Kept(TOPICS.sites, b'{"site":"park"}', 0))
    await following.read()
    assert not following.is_stray("park", "gate")
    assert following.is_stray("lake", "pier")
