import random
from collections.abc import Iterable

import pytest

from models.contract.topics import Channel, Topics
from models.ledger.rules.policy import Sites, SiteSpec
from stream_processors.ingress.admission import Admission
from stream_processors.ingress.rate_limit import RateLimits, TokenBucket
from stream_processors.ingress.records import Publication, Record
from stream_processors.runtime.health import Health

TOPICS = Topics()
RATES: dict[Channel, float] = {"request": 20, "report": 50, "state": 2}


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Ingress:
    """Admission before a `turn` that makes one record of each message, or a dead letter of a bad one."""

    def __init__(self) -> None:
        self.sites = Sites(sites={"park": SiteSpec(devices=("gate", "door"))})
        self.clock = Clock()
        self.health = Health("ingress", "1", counts=("limited",))
        self.admission = Admission(self._turn, RateLimits(RATES), self, TOPICS, self.health, self.clock)
        self.appended: list[Record] = []

    async def receive(
        self, channel: Channel, payload: bytes = b"{}", *, site: str = "park", device: str = "gate"
    ) -> int:
        """Returns how many records it became."""
        records = await self.admission.turn(Publication(TOPICS.device(site, device, channel), payload))
        self.appended += records
        return len(records)

    async def flood(self, channel: Channel, number: int, payload: bytes = b"{}", site: str = "park") -> int:
        return sum([await self.receive(channel, payload, site=site) for _ in range(number)])

    async def release(self) -> None:
        async def append(record: Record) -> None:
            self.appended.append(record)

        await self.admission.release(append)

    @property
    def limited(self) -> int:
        return self.health.vitals().counts["limited"]

    async def _turn(self, publication: Publication) -> tuple[Record, ...]:
        topic = TOPICS.dead_letters if publication.payload == b"bad" else TOPICS.events
        return (Record(topic, publication.topic, publication.payload),)


def passed(bucket: TokenBucket, times: Iterable[float]) -> int:
    return sum(bucket.take(now) for now in times)


def test_a_full_bucket_lets_its_burst_pass_and_then_its_rate() -> None:
    bucket = TokenBucket(rate=16, burst=160, now=0)
    assert passed(bucket, [0.0] * 1_000) == 160
    assert passed(bucket, [n / 1024 for n in range(1, 10_241)]) == 160


def test_a_sender_at_its_rate_is_never_limited() -> None:
    bucket = TokenBucket(rate=20, burst=200, now=0)
    assert passed(bucket, [n / 20 for n in range(100_000)]) == 100_000


def test_an_idle_bucket_holds_no_more_than_its_burst() -> None:
    bucket = TokenBucket(rate=20, burst=200, now=0)
    assert passed(bucket, [1e9] * 1_000) == 200


@pytest.mark.parametrize("seed", range(5))
def test_no_more_passes_in_any_time_than_burst_and_rate_allow(seed: int) -> None:
    moments = random.Random(seed)
    times = sorted(moments.uniform(0, 60) for _ in range(5_000))
    bucket = TokenBucket(rate=20, burst=200, now=0)
    passes = [now for now in times if bucket.take(now)]
    for first in range(0, len(passes), 50):
        for last in range(first, len(passes), 50):
            assert last - first + 1 <= 200 + 20 * (passes[last] - passes[first]) + 1


async def test_a_flood_takes_nothing_from_another_dispenser_or_channel() -> None:
    ingress = Ingress()
    assert await ingress.flood("request", 5_000) == 200
    assert ingress.limited == 4_800
    assert await ingress.receive("request", device="door") == 1
    assert await ingress.receive("report") == 1


async def test_the_reports_of_an_outage_pass_in_a_burst_and_then_at_the_rate() -> None:
    ingress = Ingress()
    assert await ingress.flood("report", 1_000) == 500
    for _ in range(10):
        ingress.clock.now += 5  # a dispenser repeats 32 after 5 s
        assert await ingress.flood("report", 32) == 32


async def test_the_newest_of_too_many_states_is_appended_later() -> None:
    ingress = Ingress()
    for number in range(100):
        await ingress.receive("state", b"%d" % number)
    assert len(ingress.appended) == 20
    await ingress.release()
    assert len(ingress.appended) == 20
    ingress.clock.now += 0.5
    await ingress.release()
    await ingress.release()
    assert [record.value for record in ingress.appended[20:]] == [b"99"]


async def test_a_held_state_is_dropped_for_a_newer_one() -> None:
    ingress = Ingress()
    for number in range(21):
        await ingress.receive("state", b"%d" % number)
    ingress.clock.now += 10
    await ingress.receive("state", b"newer")
    await ingress.release()
    assert ingress.appended[-1].value == b"newer"


async def test_dead_letters_of_a_dispenser_are_bounded_and_leave_its_good_messages() -> None:
    ingress = Ingress()
    for _ in range(60):
        ingress.clock.now += 1
        await ingress.flood("report", 50, b"bad")
    assert len(ingress.appended) <= 50 + 60
    assert await ingress.receive("report") == 1


async def test_unknown_senders_share_one_bound_under_any_number_of_names() -> None:
    ingress = Ingress()
    for number in range(10_000):
        await ingress.receive("report", b"bad", site=f"site-{number}")
    assert len(ingress.appended) == 2_000
    assert await ingress.receive("report") == 1


async def test_a_dispenser_that_is_enrolled_later_has_a_rate_of_its_own() -> None:
    ingress = Ingress()
    assert await ingress.flood("request", 3_000, site="hall") == 2_000
    ingress.sites = Sites(sites={"hall": SiteSpec(devices=("gate",))})
    assert await ingress.flood("request", 3_000, site="hall") == 200


async def test_a_topic_that_cannot_be_parsed_is_of_an_unknown_sender() -> None:
    ingress = Ingress()
    for _ in range(3_000):
        ingress.appended += await ingress.admission.turn(Publication("fairroll/v9/park/gate/request", b"bad"))
    assert len(ingress.appended) == 2_000
