"""The indexes and sums of a site equal a recount from its rows, after any history."""

import random
from collections.abc import Callable, Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from models.contract.messages import ButtonPressed, Dispensed, FaceSeen, LocalRation, StaffPressed
from models.ledger.events import Record, Reported, Requested, SiteHeld, SiteResumed, Ticked
from models.ledger.partition import Partition
from models.ledger.rows import DispenserAccount, Entry, Settlement, device_of, is_visitor_key
from models.ledger.state.dispenser_rows import DispenserRows
from models.ledger.state.expiry import Expiry
from models.ledger.state.site import Site
from tests.support.rebuilding import folded_and_rebuilt
from tests.support.story import MODEL, SITE, folded, template
from tests.unit.ledger.test_fold_properties import PEOPLE, events, forgetful, numbers, streams

DEVICES = ("gate", "door")
few = st.integers(0, 4).map("request-{:010}".format)
"""Ids that meet again and again: requests repeated, used again, and reported on."""
asked = st.one_of(
    st.builds(FaceSeen, id=few, model=st.just(MODEL), template=st.sampled_from(PEOPLE).map(template)),
    st.builds(ButtonPressed, id=few),
    st.builds(StaffPressed, id=few),
)
ages = st.sampled_from([0, 2_000, 100_000])
reported = st.one_of(
    st.builds(Dispensed, number=numbers, request=few, cm=st.integers(0, 90), ago_ms=ages),
    st.builds(LocalRation, number=numbers, request=few, cm=st.integers(0, 90), ago_ms=ages),
)
busy = st.one_of(
    st.builds(Requested, site=st.just(SITE), device=st.just("gate"), request=asked),
    st.builds(Reported, site=st.just(SITE), device=st.just("gate"), report=reported),
    st.just(Ticked()),
    st.just(SiteHeld(site=SITE, why="a complaint")),
    st.just(SiteResumed(site=SITE)),
)
histories = streams(busy, least=25) | streams(forgetful | events)


class Recount:
    """A dispenser's sums, added up over all rows of its site."""

    def __init__(self, site: Site, device: str, horizon: int) -> None:
        held = [(key, item) for key, account in site.accounts.items() for item in account.entries]
        self.entries = [(k, e) for k, e in held if isinstance(e, Entry) and e.device == device and e.at > horizon]
        grants = {entry.id: entry.at for _, entry in self.entries if entry.granted_cm}
        self.unmatched = [
            received
            for _, received in held
            if isinstance(received, Settlement)
            and received.device == device
            and received.counts_from > horizon
            and not received.counts_from <= grants.get(received.request, -1)
        ]

    def given(self) -> int:
        return sum(e.granted_cm for _, e in self.entries if e.counts) + sum(received.cm for received in self.unmatched)

    def buttons(self) -> int:
        granted = sum(e.granted_cm for key, e in self.entries if e.counts and not is_visitor_key(key))
        return granted + sum(received.cm for received in self.unmatched if not received.is_visitors)

    def answers(self) -> int:
        return sum(not entry.counts for _, entry in self.entries)


def kept(site: Site, device: str, horizon: int) -> tuple[int, int, int, int]:
    sums = site.requests.sums(device)
    windows = (sums.given, sums.buttons, sums.unmatched, sums.answers)
    given, buttons, unmatched, answers = (window.after(horizon) for window in windows)
    return given, buttons, unmatched, answers


def recounted(site: Site, device: str, horizon: int) -> tuple[int, int, int, int]:
    again = Recount(site, device, horizon)
    return again.given(), again.buttons(), len(again.unmatched), again.answers()


def horizons(partition: Partition) -> Iterator[int]:
    """Now and later."""
    site = partition.sites[SITE]
    return (site.horizon(partition.at + later) for later in (0, 1, 30_000, 300_000, 10**9))


@given(histories)
def test_sums_equal_a_recount_from_the_rows_after_any_history(records: list[Record]) -> None:
    partition, _ = folded(records)
    site = partition.sites[SITE]
    for horizon in horizons(partition):
        for device in DEVICES:
            assert kept(site, device, horizon) == recounted(site, device, horizon)


@given(histories, st.randoms(use_true_random=False))
def test_a_rebuild_in_any_order_gives_the_same_sums_counts_and_order_of_expiry(
    records: list[Record], rng: random.Random
) -> None:
    partition, second = folded_and_rebuilt(records, rng)
    site, rebuilt = partition.sites[SITE], second.sites[SITE]
    views: tuple[Callable[[Site, int], object], ...] = (
        Site.expired,
        Site.count_accounts,
        Site.count_visitors,
        Site.count_templates,
        Site.oldest_template,
        lambda site, horizon: [(kept(site, d, horizon), site.numbering(d), site.open_row(d, horizon)) for d in DEVICES],
    )
    for horizon in horizons(partition):
        for view in views:
            assert view(site, horizon) == view(rebuilt, horizon)


@given(histories)
def test_what_expires_and_what_lives_is_what_the_rows_say(records: list[Record]) -> None:
    partition, _ = folded(records)
    site = partition.sites[SITE]
    void = {key for key in site.expired(-1) if key not in site.accounts}
    for horizon in horizons(partition):
        live = {key for key, a in site.accounts.items() if any(item.at > horizon for item in a.entries)}
        dead = set(site.expired(horizon)) - void
        assert site.count_accounts(horizon) == len(live)
        assert not dead & live
        stay = {device_of(key) for key in set(site.accounts) - live - dead}
        rest = [site.accounts[key] for key in set(site.accounts) - live - dead]
        assert all(isinstance(account, DispenserAccount) for account in rest)
        assert len(rest) == len(stay)  # one a dispenser, for the numbers of its reports


class ExpiryLikeADict(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.expiry, self.plain = Expiry(), dict[str, int]()

    @rule(key=st.sampled_from("abcdef"), at=st.integers(-1, 9))
    def put(self, key: str, at: int) -> None:
        self.expiry.put(key, at)
        self.plain[key] = at

    @rule(key=st.sampled_from("abcdef"))
    def discard(self, key: str) -> None:
        self.expiry.discard(key)
        self.plain.pop(key, None)

    @rule(horizon=st.integers(-1, 9))
    def compare(self, horizon: int) -> None:
        expired = [key for key, at in sorted(self.plain.items(), key=lambda one: (one[1], one[0])) if at <= horizon]
        assert self.expiry.expired(horizon) == expired
        assert self.expiry.count_live(horizon) == len(self.plain) - len(expired)


class RowsLikeADict(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.rows, self.plain, self.offset = DispenserRows(), dict[int, int](), 0

    @rule(part=st.integers(0, 5), later=st.integers(1, 3))
    def put(self, part: int, later: int) -> None:
        self.offset += later
        self.rows.put(part, self.offset)
        self.plain[part] = self.offset

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        if self.plain:
            part = data.draw(st.sampled_from(sorted(self.plain)))
            self.rows.remove(part)
            del self.plain[part]

    @rule()
    def compare(self) -> None:
        assert self.rows.last == max(self.plain, default=0)
        assert self.rows.newest == max(self.plain, key=self.plain.__getitem__, default=None)


TestExpiry, TestRows = ExpiryLikeADict.TestCase, RowsLikeADict.TestCase
TestExpiry.settings = TestRows.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
