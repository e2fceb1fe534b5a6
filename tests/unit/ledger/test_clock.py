"""A broker's clock that was ahead: the partition's time is set back, the same live, replayed and rebuilt."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract.codec import encode
from models.contract.messages import Dispense, Dispensed, Refuse
from models.ledger.clock import Clock, watermark
from models.ledger.events import Event, Record, SiteHeld, Ticked
from models.ledger.outcomes import SiteCounted
from models.ledger.partition import Partition
from models.ledger.rows import Correction, SiteRow
from models.ledger.rules.policy import Policy
from tests.support.rebuilding import folded_and_rebuilt
from tests.support.story import RESERVED, SECRET, SITE, START, Story, folded
from tests.unit.ledger.test_fold_properties import events, forgetful, streams
from tests.unit.ledger.test_state import DEVICES, busy, kept, recounted

DAY_S = 86_400
steps = st.sampled_from([0, 1, 20_000, 61_000, 300_000, 1000 * DAY_S, -59_000, -61_000, -400_000, -1000 * DAY_S])


@st.composite
def jumping(draw: st.DrawFn, event: st.SearchStrategy[Event] = forgetful | events) -> list[Record]:
    """Streams whose append times jump ahead and fall back."""
    records, now = draw(streams(event)), START
    for n, record in enumerate(records[1:], 1):
        now = max(START, now + draw(steps))
        records[n] = Record(offset=record.offset, at=now, event=record.event)
    return records


jumps = jumping() | jumping(busy)


def counted(story: Story) -> SiteCounted:
    [outcome] = story.tick().outcomes
    assert isinstance(outcome, SiteCounted)
    return outcome


def ahead_for_a_tick(story: Story, seconds: int = DAY_S) -> None:
    story.wait(seconds)
    story.tick()
    story.wait(-seconds)


# -- what happens -------------------------------------------------------------------------------------


def test_a_clock_that_was_a_day_ahead_for_one_tick_refuses_nobody_for_longer_than_a_window() -> None:
    """It refused buttons for a day."""
    story, refused = Story(Policy(button_budget_cm=600)), 0
    ahead_for_a_tick(story)
    for _ in range(180):
        story.wait(100)
        refused += isinstance(story.button().command, Refuse)
    assert refused == 0
    assert story.partition.at == story.now


def test_a_template_of_the_future_lives_no_longer_than_a_window_from_the_correction() -> None:
    story = Story()
    story.wait(DAY_S)
    story.face("ann")
    story.wait(-DAY_S)
    assert story.face("ann").identity == "same"
    story.wait(539.999)
    assert counted(story).templates == 1
    story.wait(0.001)
    assert counted(story).templates == 0


def test_a_refusal_after_a_correction_shows_the_time_to_wait_from_it() -> None:
    story = Story(Policy(give_back=RESERVED))
    story.wait(DAY_S)
    story.face("ann")
    story.wait(100 - DAY_S)
    story.tick()
    story.wait(40)
    refused = story.face("ann").command
    assert isinstance(refused, Refuse)
    assert refused.retry_after_s == 500


@pytest.mark.parametrize(("back_s", "corrections"), [(0.001, 0), (60, 0), (60.001, 1), (DAY_S, 1)])
def test_a_time_is_corrected_when_it_falls_back_by_more_than_a_minute(back_s: float, corrections: int) -> None:
    story = Story()
    story.wait(-back_s)
    assert counted(story).corrections == corrections
    assert story.partition.at == (story.now if corrections else START)


def test_corrections_are_counted() -> None:
    story = Story()
    for n in range(1, 40):
        ahead_for_a_tick(story)
        story.wait(5)
        assert counted(story).corrections == n
    row = story.decisions[-1].row
    assert row is not None
    assert len(row.corrections) <= 16


def test_settings_of_the_future_neither_free_anybody_nor_end_an_epoch_late() -> None:
    story = Story(Policy(give_back=RESERVED))
    story.wait(DAY_S)
    story.configure(Policy(give_back=RESERVED, window_s=60))
    story.wait(-DAY_S)
    story.face("ann")
    assert isinstance(story.face("ann").command, Refuse)
    settings = story.partition.sites[SITE].settings
    assert isinstance(settings, SiteRow)
    assert settings.floor < story.now
    assert settings.epoch_at <= story.now


def test_a_redelivery_is_no_correction() -> None:
    story = Story()
    ahead_for_a_tick(story, 30)
    before = story.partition.clock
    for record in story.records:
        assert story.partition.fold(record).row is None
    story.partition.pass_over(0, START - 1000 * DAY_S)
    assert story.partition.clock == before


def test_an_unreadable_event_corrects_the_clock_too() -> None:
    story = Story()
    ahead_for_a_tick(story)
    story.partition.pass_over(len(story.records), story.now)
    assert (story.partition.at, len(story.partition.clock.corrections)) == (story.now, 1)


def test_a_correction_settles_what_was_granted_in_the_future() -> None:
    story = Story()
    story.wait(DAY_S)
    granted = story.face("ann").command.request
    story.report(Dispensed(number=1, request=granted, cm=60))
    story.wait(-DAY_S)
    refused = story.face("ann").command
    assert isinstance(refused, Refuse)
    assert refused.retry_after_s == 540
    assert story.partition.sites[SITE].requests.sums("gate").given.after(0) == 60
    story.wait(540)
    assert isinstance(story.face("ann").command, Dispense)


def test_a_tick_after_a_correction_still_removes_the_rows_that_a_hold_made_void() -> None:
    story = Story()
    visitor = story.face("ann").visitor
    story.happens(SiteHeld(site=SITE, why="a complaint"))
    story.wait(-61)
    assert f"visitor/{SITE}/{visitor}" in story.tick().removed


# -- what holds for every stream ----------------------------------------------------------------------


@given(jumps)
def test_nothing_counts_longer_than_a_window_from_a_correction(records: list[Record]) -> None:
    partition = Partition(SECRET)
    for record in records:
        before = partition.clock
        partition.fold(record)
        if partition.clock.corrections != before.corrections:
            site = partition.sites[SITE]
            end = max(site.horizon(partition.at + site.policy.window_ms), partition.at)
            assert (site.count_templates(end), site.count_accounts(end)) == (0, 0)
            assert [kept(site, device, end) for device in DEVICES] == [(0, 0, 0, 0)] * 2
            assert site.horizon(partition.at) <= partition.at


@given(jumps, st.randoms(use_true_random=False))
def test_a_partition_rebuilt_from_its_rows_decides_the_same(records: list[Record], rng: random.Random) -> None:
    half = rng.randrange(len(records) + 1)
    partition, rebuilt = folded_and_rebuilt(records[:half], rng)
    assert (rebuilt.offset, rebuilt.clock) == (partition.offset, partition.clock)
    for name, site in partition.sites.items():
        assert rebuilt.sites[name].accounts == site.accounts
        assert rebuilt.sites[name].settings == site.settings
    rest = records[half:]
    assert [encode(rebuilt.fold(r)) for r in rest] == [encode(partition.fold(r)) for r in rest]


@given(jumps)
def test_a_replay_of_the_partitions_times_gives_the_same_bytes(records: list[Record]) -> None:
    live, now, replayed = folded(records)[1], 0, Partition(SECRET)
    for record, decision in zip(records, live, strict=True):
        now = watermark(now, record.at)
        again = replayed.fold(Record(offset=record.offset, at=now, event=record.event))
        assert encode(again) == encode(decision)


@given(jumps)
def test_deciding_changes_nothing_and_sums_equal_a_recount(records: list[Record]) -> None:
    partition = Partition(SECRET)
    for record in records:
        before = (partition.clock, {name: dict(site.accounts) for name, site in partition.sites.items()})
        first = encode(partition.decide(record))
        after = (partition.clock, {name: dict(site.accounts) for name, site in partition.sites.items()})
        assert before[0] == after[0]
        assert all(before[1].get(name, {}) == accounts for name, accounts in after[1].items())
        assert encode(partition.fold(record)) == first
    site = partition.sites[SITE]
    for device in DEVICES:
        horizon = site.horizon(partition.at)
        assert kept(site, device, horizon) == recounted(site, device, horizon)


flapping = st.lists(st.integers(1, 90_000), min_size=17, max_size=40).map(
    lambda waits: [at for n in range(len(waits)) for at in (sum(waits[:n]) + 10**8, sum(waits[:n]))]
)
"""A clock that is ahead again and again, and right in between."""


@given(st.lists(st.integers(0, 10**6), max_size=60) | flapping)
def test_corrections_are_few_in_ascending_order_and_cover_all_that_earlier_ones_did(times: list[int]) -> None:
    def limit(corrections: tuple[Correction, ...], offset: int) -> int:
        return min((known.at for known in corrections if known.offset > offset), default=10**9)

    clock = Clock()
    for offset, at in enumerate(times):
        later = clock.seeing(offset, at)
        assert len(later.corrections) <= 16
        assert sorted(known.at for known in later.corrections) == [known.at for known in later.corrections]
        assert sorted(known.offset for known in later.corrections) == [known.offset for known in later.corrections]
        assert all(limit(later.corrections, o) <= limit(clock.corrections, o) for o in range(offset))
        clock = later


def test_ticks_alone_need_no_site() -> None:
    partition = Partition(SECRET)
    partition.fold(Record(offset=0, at=START, event=Ticked()))
    partition.fold(Record(offset=1, at=START - 61_000, event=Ticked()))
    assert partition.at == START - 61_000
