"""What holds for every stream of events."""

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from models.contract.codec import encode
from models.contract.messages import (
    ButtonPressed,
    Declined,
    Dispense,
    Dispensed,
    FaceSeen,
    ForgetRequested,
    LocalRation,
    StaffPressed,
    Stock,
)
from models.ledger.codec import decode_event, decode_outcome, decode_row
from models.ledger.decision import Decision
from models.ledger.events import (
    EpochEnded,
    Event,
    Record,
    Reported,
    Requested,
    SiteConfigured,
    SiteHeld,
    SiteResumed,
    Ticked,
    UnreadableReport,
)
from models.ledger.outcomes import Answered
from models.ledger.partition import Partition
from models.ledger.report_numbers import Numbering
from models.ledger.rows import DispenserAccount, Entry, VisitorAccount
from models.ledger.rules.policy import GiveBack, Policy
from tests.support.rebuilding import folded_and_rebuilt
from tests.support.story import MODEL, RESERVED, SECRET, SITE, START, folded, template

PEOPLE = ("ann", "bob", "cid", "dot")
ids = st.integers(0, 40).map(lambda n: f"request-{n:010d}")
devices = st.sampled_from(["gate", "door"])
looks = st.builds(template, st.sampled_from(PEOPLE), st.integers(0, 200))
faces = st.builds(FaceSeen, id=ids, model=st.just(MODEL), template=looks)
requests = st.one_of(
    faces,
    st.builds(ButtonPressed, id=ids),
    st.builds(StaffPressed, id=ids),
    st.builds(ForgetRequested, id=ids, model=st.just(MODEL), template=looks),
)
numbers = st.integers(1, 30)
reports = st.one_of(
    st.builds(Dispensed, number=numbers, request=ids, cm=st.integers(0, 90), ago_ms=st.integers(0, 900_000)),
    st.builds(Declined, number=numbers, request=ids, reason=st.just("late")),
    st.builds(LocalRation, number=numbers, request=ids, cm=st.integers(0, 90), ago_ms=st.integers(0, 900_000)),
    st.builds(Stock, number=numbers, cm=st.integers(0, 9000)),
    st.builds(UnreadableReport, number=numbers, reason=st.just("a reason")),
)
policies = st.builds(
    Policy,
    portion_cm=st.just(60),
    limit_cm=st.sampled_from([60, 150]),
    window_s=st.sampled_from([60, 540]),
    button_budget_cm=st.sampled_from([60, 300]),
    dispenser_limit_cm=st.sampled_from([120, 3000]),
    give_back=st.builds(GiveBack, jam_s=st.sampled_from([0, 60]), unreported_s=st.sampled_from([0, 120, 600])),
)
events = st.one_of(
    st.builds(Requested, site=st.just(SITE), device=devices, request=requests),
    st.builds(Reported, site=st.just(SITE), device=devices, report=reports),
    st.builds(SiteConfigured, site=st.just(SITE), mode=st.sampled_from(["face", "button"]), policy=policies),
    st.just(SiteHeld(site=SITE, why="a complaint")),
    st.just(SiteResumed(site=SITE)),
    st.builds(EpochEnded, site=st.just(SITE), epoch=st.integers(0, 2)),
    st.just(Ticked()),
)
anns = st.builds(template, st.just("ann"), st.sampled_from([0, 90, 180]))
"""Who is seen at 0 and at 180 flipped bits is taken for two people; 90 is like both."""
forgetful = st.builds(
    Requested,
    site=st.just(SITE),
    device=devices,
    request=st.builds(FaceSeen, id=ids, model=st.just(MODEL), template=anns)
    | st.builds(ForgetRequested, id=ids, model=st.just(MODEL), template=anns),
)


@st.composite
def streams(
    draw: st.DrawFn, event: st.SearchStrategy[Event] = events, policy: Policy | None = None, least: int = 0
) -> list[Record]:
    latest = now = START
    records = [_record(0, now, SiteConfigured(site=SITE, mode="face", policy=policy or Policy(give_back=RESERVED)))]
    for one in draw(st.lists(event, min_size=least, max_size=60)):
        now += draw(st.sampled_from([0, 1, 900, 20_000, 61_000, 300_000, -5_000]))
        latest = max(latest, now)
        now = max(now, latest - 60_000)  # clocks that fall back farther: test_clock.py
        records.append(_record(len(records), now, one))
    return records


def _record(offset: int, at: int, event: Event) -> Record:
    return Record(offset=offset, at=at, event=event)


def _bytes(decisions: list[Decision]) -> list[bytes]:
    return [encode(decision) for decision in decisions]


@given(streams())
def test_folding_a_recorded_stream_again_gives_the_same_bytes(records: list[Record]) -> None:
    recorded = [_record(r.offset, r.at, decode_event(encode(r.event))) for r in records]
    assert _bytes(folded(records)[1]) == _bytes(folded(recorded)[1])


@given(streams())
def test_every_event_writes_one_row_that_carries_its_offset(records: list[Record]) -> None:
    for record, decision in zip(records, folded(records)[1], strict=True):
        assert decision.row is not None
        assert decision.row.offset == record.offset
        assert decision.removed == () or isinstance(record.event, Ticked)


@given(streams(forgetful | events), st.randoms(use_true_random=False))
def test_a_partition_rebuilt_from_its_rows_decides_the_same(records: list[Record], rng: random.Random) -> None:
    half = rng.randrange(len(records) + 1)
    partition, rebuilt = folded_and_rebuilt(records[:half], rng)
    assert rebuilt.offset == partition.offset
    rest = records[half:]
    assert _bytes([rebuilt.fold(r) for r in rest]) == _bytes([partition.fold(r) for r in rest])


@given(streams(forgetful | st.just(Ticked())), st.randoms(use_true_random=False))
def test_a_worker_that_is_killed_between_any_two_writes_is_followed_by_one_that_decides_the_same(
    records: list[Record], rng: random.Random
) -> None:
    rows: dict[str, bytes] = {}
    partition = Partition(SECRET)
    for record in records:
        decision = partition.fold(record)
        written = rng.randrange(len(decision.removed) + 1)
        interrupted = {key: row for key, row in rows.items() if key not in decision.removed[:written]}
        successor = Partition(SECRET, [(key, decode_row(row)) for key, row in interrupted.items()])
        assert encode(successor.fold(record).outcomes) == encode(decision.outcomes)
        for key in decision.removed:
            del rows[key]
        assert decision.row is not None
        rows[decision.key] = encode(decision.row)


@given(streams())
def test_folding_events_twice_changes_nothing(records: list[Record]) -> None:
    partition, _ = folded(records)
    before = {name: dict(site.accounts) for name, site in partition.sites.items()}
    for record in records:
        assert partition.fold(record).row is None
    assert {name: dict(site.accounts) for name, site in partition.sites.items()} == before


@given(
    streams(
        st.builds(Requested, site=st.just(SITE), device=devices, request=faces),
        Policy(limit_cm=150, give_back=RESERVED),
    )
)
def test_grants_to_a_visitor_never_exceed_the_limit_in_any_window(records: list[Record]) -> None:
    granted: dict[str | None, list[tuple[int, int]]] = {}
    for decision in folded(records)[1]:
        for outcome in decision.outcomes:
            if isinstance(outcome, Answered) and isinstance(outcome.command, Dispense) and not outcome.repeated:
                granted.setdefault(outcome.visitor, []).append((outcome.at, outcome.command.cm))
    for grants in granted.values():
        for end, _ in grants:
            assert sum(cm for at, cm in grants if end - 540_000 < at <= end) <= 150


@given(streams(st.builds(Requested, site=st.just(SITE), device=devices, request=requests)))
def test_duplicates_are_answered_alike_and_charged_to_nobody(records: list[Record]) -> None:
    doubled: list[Record] = []
    for record in records:
        doubled += [_record(len(doubled) + i, record.at, record.event) for i in range(2)]
    single, decisions = folded(records)
    double, twice = folded(doubled)
    assert _ledgers(single) == _ledgers(double)
    for once, first, second in zip(decisions[1:], twice[2::2], twice[3::2], strict=True):
        commands = {encode(o.command) for d in (once, first, second) for o in d.outcomes if isinstance(o, Answered)}
        assert len(commands) == 1


@given(st.lists(st.tuples(st.sampled_from(PEOPLE), st.integers(0, 20)), max_size=30), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_change_totals_per_visitor(
    visits: list[tuple[str, int]], rng: random.Random
) -> None:
    def totals(order: list[tuple[str, int]]) -> dict[str, int]:
        partition = Partition(SECRET)
        partition.fold(
            _record(0, START, SiteConfigured(site=SITE, mode="face", policy=Policy(limit_cm=150, give_back=RESERVED)))
        )
        sums = dict.fromkeys(PEOPLE, 0)
        for n, (person, flipped) in enumerate(order, 1):
            face = FaceSeen(id=f"request-{n:010d}", model=MODEL, template=template(person, flipped))
            request = Requested(site=SITE, device="gate", request=face)
            [outcome] = partition.fold(_record(n, START + n, request)).outcomes
            assert isinstance(outcome, Answered)
            sums[person] += outcome.command.cm if isinstance(outcome.command, Dispense) else 0
        return sums

    assert totals(visits) == totals(rng.sample(visits, len(visits)))


@given(streams(st.one_of(events, st.just(Ticked()))))
def test_ticks_only_erase_and_no_decision_depends_on_one(records: list[Record]) -> None:
    def without_ticks(decisions: list[Decision]) -> list[bytes]:
        pairs = zip(records, decisions, strict=True)
        return [encode(d.outcomes) for r, d in pairs if not isinstance(r.event, Ticked)]

    partition = Partition(SECRET)
    unticked = [partition.fold(r) if not isinstance(r.event, Ticked) else Decision(outcomes=()) for r in records]
    times_go_on = all(later.at >= r.at for r, later in pairwise(records))
    if times_go_on:
        assert without_ticks(folded(records)[1]) == without_ticks(unticked)


@given(streams())
def test_a_template_outlives_its_window_in_no_row_after_a_tick(records: list[Record]) -> None:
    partition, _ = folded(records)
    last = max(record.at for record in records)
    partition.fold(_record(len(records), last + 24 * 3_600_000, Ticked()))
    left = [account for site in partition.sites.values() for account in site.accounts.values()]
    assert all(isinstance(account, DispenserAccount) and account.numbering != Numbering() for account in left)
    assert len(left) <= 2  # one a dispenser, for the numbers of its reports


@given(streams())
@settings(max_examples=50)
def test_everything_said_and_written_round_trips(records: list[Record]) -> None:
    for record, decision in zip(records, folded(records)[1], strict=True):
        assert decode_event(encode(record.event)) == record.event
        assert [decode_outcome(encode(o)) for o in decision.outcomes] == list(decision.outcomes)
        assert decision.row is not None
        assert decode_row(encode(decision.row)) == decision.row


@given(streams(st.builds(Requested, site=st.just(SITE), device=devices, request=requests)))
def test_no_outcome_carries_a_template(records: list[Record]) -> None:
    partition, decisions = folded(records)
    sent = b"".join(encode(o) for d in decisions for o in d.outcomes)
    for account in (a for site in partition.sites.values() for a in site.accounts.values()):
        if isinstance(account, VisitorAccount) and account.template:
            assert encode(account.template).strip(b'"') not in sent


def _ledgers(partition: Partition) -> list[list[tuple[str, str, int]]]:
    """The entries of every account, whatever its pseudonym, which carries the offset."""
    accounts = partition.sites[SITE].accounts.values()
    return sorted(
        [(e.device, e.id, e.granted_cm) for e in account.entries if isinstance(e, Entry)] for account in accounts
    )
