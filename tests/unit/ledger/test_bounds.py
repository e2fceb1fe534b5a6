"""What holds whatever dispensers and people do: limits, rows and memory are bounded."""

import random
import time
from itertools import count

import pytest
from hypothesis import given
from msgspec import structs

from models.contract.codec import encode
from models.contract.messages import (
    Declined,
    Dispense,
    Dispensed,
    FaceSeen,
    ForgetRequested,
    Forgotten,
    LocalRation,
    Placement,
    Refuse,
    Revision,
    StaffPressed,
)
from models.keys.seals import Sealed
from models.ledger.events import Record, Requested
from models.ledger.outcomes import Answered, ReportKept
from models.ledger.report_numbers import Numbering
from models.ledger.rows import (
    Correction,
    DispenserAccount,
    Entry,
    PartitionRow,
    Row,
    Settlement,
    SiteRow,
    VisitorAccount,
)
from models.ledger.rows import is_visitor_key as of_visitor
from models.ledger.rules.bounds import (
    ENTRIES_PER_ROW,
    LARGEST_ROW_BYTES,
    MOST_ANSWERS,
    MOST_FORGOTTEN,
    MOST_GRANTS,
    MOST_UNMATCHED,
)
from models.ledger.rules.policy import GiveBack, Policy
from stream_processors.decider.ledger import RECORD_BYTES
from tests.support.story import MODEL, SITE, TEMPLATE_BITS, Story, folded, template
from tests.unit.ledger.test_fold_properties import events, forgetful, streams

AT_ONCE = GiveBack(unreported_s=0)
HUGE = Policy(dispenser_limit_cm=100_000, button_budget_cm=100_000, give_back=AT_ONCE)


def visitors(story: Story) -> int:
    return sum(map(of_visitor, story.partition.sites[SITE].accounts))


def largest_row(story: Story) -> int:
    return max(len(encode(decision.row)) for decision in story.decisions)


# -- limits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("report", ["jam", "declined", "nothing"])
def test_a_dispensers_limit_holds_whatever_it_reports(report: str) -> None:
    """One new visitor after another; each motor run is reported as failed, or is not reported."""
    story, granted = Story(Policy(dispenser_limit_cm=600, give_back=AT_ONCE)), 0
    for n in range(30):
        command = story.face(f"stranger {n}").command
        granted += isinstance(command, Dispense)
        if report == "jam":
            story.report(Dispensed(number=n + 1, request=command.request, cm=0, fault="jam"))
        elif report == "declined":
            story.report(Declined(number=n + 1, request=command.request, reason="late"))
        story.wait(10)
    assert granted == 10
    assert isinstance(command, Refuse)
    assert (command.reason, command.retry_after_s) == ("dispenser_limit", 540 - 29 * 10)


def test_the_button_budget_holds_whatever_is_reported() -> None:
    story = Story(Policy(button_budget_cm=120, give_back=AT_ONCE))
    for n in range(2):
        command = story.button().command
        story.report(Dispensed(number=n + 1, request=command.request, cm=0, fault="jam"))
    assert isinstance(story.button().command, Refuse)
    assert isinstance(story.button("door").command, Dispense)


def test_a_visitor_gets_back_what_a_jam_held_though_the_dispenser_does_not() -> None:
    story = Story(Policy(dispenser_limit_cm=120))
    first = story.face("ann").command
    story.report(Dispensed(number=1, request=first.request, cm=0, fault="jam"))
    assert isinstance(story.face("ann", device="door").command, Dispense)


def test_a_face_button_that_is_stuck_at_a_jammed_motor_is_granted_a_bounded_number_of_times() -> None:
    """4,800 reports and requests within a window took the service down: the row outgrew what Kafka takes."""
    story, granted = Story(HUGE), 0
    for n in range(4_800):
        request = f"request-{n:010}-{n:043}"
        story.report(Dispensed(number=n + 1, request=request, cm=0, fault="jam"))
        command = story.face("ann", request=request).command
        granted += isinstance(command, Dispense)
        story.report(Dispensed(number=n + 1, request=request, cm=0, fault="jam"))
        story.wait(0.1)
    assert granted == MOST_GRANTS
    assert isinstance(command, Refuse)
    assert (command.reason, command.retry_after_s) == ("quota", 61)  # 540 s after the first: 479.9 s ago
    assert largest_row(story) < 20_000


def test_a_visitor_who_was_granted_too_often_is_granted_again_as_the_grants_expire() -> None:
    story = Story(HUGE)
    for n in range(MOST_GRANTS):
        command = story.face("ann").command
        story.report(Declined(number=n + 1, request=command.request, reason="late"))
        story.wait(1)
    refused = story.face("ann").command
    assert isinstance(refused, Refuse)
    story.wait(refused.retry_after_s - 0.001)
    assert isinstance(story.face("ann").command, Refuse)
    story.wait(0.001)
    assert isinstance(story.face("ann").command, Dispense)


# -- memory -------------------------------------------------------------------------------------------


def test_a_site_remembers_no_more_visitors_than_it_may_whatever_is_reported() -> None:
    story = Story(Policy(most_accounts=100, dispenser_limit_cm=100_000, button_budget_cm=600, give_back=AT_ONCE))
    answers = []
    for n in range(200):
        answers.append(story.face(f"stranger {n}"))
        request = answers[-1].command.request
        story.report(Dispensed(number=n + 1, request=request, cm=0, fault="jam"))
    assert visitors(story) == 100
    by_button_rule = answers[100:]
    assert [type(answered.command) for answered in by_button_rule] == [Dispense] * 10 + [Refuse] * 90
    assert {(answered.identity, answered.visitor) for answered in by_button_rule} == {("new", None)}
    assert story.face("stranger 0").identity == "same"


def test_a_full_site_remembers_newcomers_again_as_visitors_expire_and_needs_no_tick_for_it() -> None:
    story = Story(Policy(most_accounts=100, dispenser_limit_cm=100_000, give_back=AT_ONCE))
    for n in range(100):
        story.face(f"stranger {n}")
    assert story.face("ann").visitor is None
    story.wait(540)
    assert story.face("ann").visitor is not None


def test_reports_about_unknown_requests_change_a_bounded_number_of_rows_and_delay_nobody() -> None:
    """40,000 of them made each later request cost half a second."""
    story, number = Story(HUGE), count(1)
    for cm in (0, 1):
        for _ in range(3_000):
            n = next(number)
            [kept] = story.report(LocalRation(number=n, request=f"unknown-{n:010}", cm=cm)).outcomes
            assert isinstance(kept, ReportKept)
            assert kept.cm == cm
    assert len(story.partition.sites[SITE].accounts) <= MOST_UNMATCHED // ENTRIES_PER_ROW + 1
    assert story.partition.sites[SITE].requests.sums("gate").given.after(0) == MOST_UNMATCHED
    times = []
    for _ in range(50):
        began = time.perf_counter()
        story.button()
        times.append(time.perf_counter() - began)
    assert min(times) < 0.002


def test_answers_that_count_nowhere_are_remembered_up_to_a_number_and_repeated_alike_beyond_it() -> None:
    story = Story(HUGE)
    for _ in range(2 * MOST_ANSWERS):
        story.staff()
    assert len(story.partition.sites[SITE].accounts) == MOST_ANSWERS // ENTRIES_PER_ROW
    request = StaffPressed(id=story.next_id())
    first, again = story.answered(request), story.answered(request)
    assert (first.command, first.repeated, again.repeated) == (again.command, False, False)
    button = story.button().command
    story.report(Dispensed(number=1, request=button.request, cm=60))
    assert len(story.partition.sites[SITE].accounts) == MOST_ANSWERS // ENTRIES_PER_ROW + 1


def test_a_wish_to_be_forgotten_that_matches_a_crowd_erases_all_before_it_is_answered() -> None:
    """Each of a crowd differs from the others, and all are like the one in their middle."""
    story, crowd, rng = Story(HUGE), 1_200, random.Random(1)
    for n in range(crowd):
        flipped = sum(1 << bit for bit in rng.sample(range(TEMPLATE_BITS), 170))
        look = (int.from_bytes(template("ann")) ^ flipped).to_bytes(64)
        story.answered(FaceSeen(id=f"request-{n:010}", model=MODEL, template=look), f"d{n % 12}")
    known = visitors(story)
    assert known > MOST_FORGOTTEN
    forget = ForgetRequested(id="forget-ann-000001", model=MODEL, template=template("ann"))
    asked, answered = 0, None
    while answered is None:
        asked += 1
        outcomes = story.happens(Requested(site=SITE, device="gate", request=forget)).outcomes
        answered = next((outcome for outcome in outcomes if isinstance(outcome, Answered)), None)
    assert isinstance(answered.command, Forgotten)
    assert story.partition.sites[SITE].count_templates(0) == 0
    assert asked == -(-known // MOST_FORGOTTEN)
    assert largest_row(story) < LARGEST_ROW_BYTES


# -- rows ---------------------------------------------------------------------------------------------

NAME, ID, AT, OFFSET = "n" * 63, "i" * 64, 9_999_999_999_999, 2**53
ENTRY = Entry(NAME, ID, AT, "button", Dispense(request=ID, cm=100_000))
REFUSAL = Entry(NAME, ID, AT, "button", Refuse(request=ID, reason="dispenser_limit", retry_after_s=86_400))
SETTLEMENT = Settlement(NAME, ID, AT, 100_000, "expired", OFFSET, 100_000, AT, is_visitors=True)
SEALED = Sealed("f" * 16, OFFSET, bytes(1024))
PLACEMENT: Placement = "entrance"
GREAT = GiveBack(jam_s=86_400, empty_s=86_400, power_s=86_400, expired_s=86_400, unreported_s=86_400)
LARGEST: tuple[Row, ...] = (
    VisitorAccount(
        offset=OFFSET,
        at=AT,
        model=NAME,
        epoch=OFFSET,
        template=bytes(64),
        sealed=SEALED,
        entries=(ENTRY,) * MOST_GRANTS,
    ),
    VisitorAccount(
        offset=OFFSET,
        at=AT,
        model=NAME,
        epoch=OFFSET,
        template=None,
        entries=(ENTRY,) * (MOST_FORGOTTEN + 1),
        replaces=(OFFSET,) * (MOST_FORGOTTEN - 1),
    ),
    DispenserAccount(
        offset=OFFSET, at=AT, entries=(REFUSAL,) * ENTRIES_PER_ROW, numbering=Numbering(OFFSET, (OFFSET,) * 64, OFFSET)
    ),
    DispenserAccount(offset=OFFSET, at=AT, entries=(SETTLEMENT,) * ENTRIES_PER_ROW),
    SiteRow(
        offset=OFFSET,
        at=AT,
        mode="button",
        placement=PLACEMENT,
        sign="\U0001f9fb" * 1000,
        policy=Policy(dispenser_limit_cm=100_000, most_accounts=1_000_000, window_s=86_400, give_back=GREAT),
        floor=AT,
        erased=OFFSET,
        epoch=OFFSET,
        epoch_at=AT,
        revision=Revision(AT, OFFSET),
    ),
    PartitionRow(offset=OFFSET, at=AT),
)


@pytest.mark.parametrize("row", LARGEST, ids=lambda row: type(row).__name__)
def test_the_largest_row_of_each_kind_is_smaller_than_the_bound(row: Row) -> None:
    corrected = structs.replace(row, corrections=(Correction(OFFSET, AT, OFFSET),) * 16)
    assert len(encode(corrected)) <= LARGEST_ROW_BYTES <= RECORD_BYTES < 1 << 20


@given(streams(forgetful | events))
def test_rows_hold_no_more_than_they_may(records: list[Record]) -> None:
    for decision in folded(records)[1]:
        match decision.row:
            case VisitorAccount(entries=entries, replaces=()):
                assert len(entries) <= MOST_GRANTS + 1  # and the receipt
            case VisitorAccount(entries=entries):
                assert len(entries) <= MOST_FORGOTTEN + 1
            case DispenserAccount(entries=entries, numbering=numbering):
                assert (len(entries) <= ENTRIES_PER_ROW, len(numbering.beyond) <= 64) == (True, True)
            case SiteRow() | PartitionRow() | None:
                pass
