"""A grant reserves, the report settles, and what did not come out is given back."""

import pytest

from models.contract.messages import Ack, Declined, Dispense, Dispensed, Fault, LocalRation, Refuse, Stock
from models.ledger.events import UnreadableReport
from models.ledger.outcomes import ReportKept
from models.ledger.rules.policy import GiveBack, Policy
from tests.support.story import SITE, Story


def granted(give_back: GiveBack) -> tuple[Story, str]:
    """Ann has a grant without a report."""
    story = Story(Policy(give_back=give_back))
    return story, story.face("ann").command.request


def asks_again(story: Story) -> Dispense | Refuse:
    command = story.face("ann").command
    assert isinstance(command, Dispense | Refuse)
    return command


def received(story: Story, report: Dispensed | Declined | LocalRation | Stock | UnreadableReport) -> ReportKept:
    [kept] = story.report(report).outcomes
    assert isinstance(kept, ReportKept)
    return kept


@pytest.mark.parametrize("fault", ["jam", "empty", "power"])
def test_what_a_fault_held_back_counts_until_its_own_bound(fault: Fault) -> None:
    story, request = granted(GiveBack(**{f"{fault}_s": 30}))
    story.report(Dispensed(number=1, request=request, cm=0, fault=fault))
    refused = asks_again(story)
    assert isinstance(refused, Refuse)
    assert refused.retry_after_s == 30
    story.wait(30)
    assert isinstance(asks_again(story), Dispense)


def test_a_declined_command_is_given_back_after_its_bound() -> None:
    story, request = granted(GiveBack(expired_s=45))
    story.report(Declined(number=1, request=request, reason="closed"))
    story.wait(44.9)
    assert isinstance(asks_again(story), Refuse)
    story.wait(0.1)
    assert isinstance(asks_again(story), Dispense)


def test_a_grant_that_nobody_reports_is_given_back_and_needs_no_tick() -> None:
    story, _ = granted(GiveBack(unreported_s=120))
    story.wait(119.9)
    assert isinstance(asks_again(story), Refuse)
    story.wait(0.1)
    assert isinstance(asks_again(story), Dispense)


def test_a_report_that_comes_after_the_give_back_still_counts_and_counts_once() -> None:
    story, request = granted(GiveBack(unreported_s=120))
    story.wait(200)
    kept = [received(story, Dispensed(number=1, request=request, cm=60, ago_ms=199_000)) for _ in range(2)]
    assert [k.cm for k in kept] == [60, 0]
    refused = asks_again(story)
    assert isinstance(refused, Refuse)
    assert refused.retry_after_s == 340


def test_half_a_portion_counts_half_for_the_whole_window() -> None:
    story = Story(Policy(portion_cm=60, limit_cm=90))
    request = story.face("ann").command.request
    story.report(Dispensed(number=1, request=request, cm=30, fault="jam"))
    assert isinstance(asks_again(story), Dispense)


def test_a_report_that_overtakes_its_request_settles_it_all_the_same() -> None:
    story = Story(Policy(button_budget_cm=60))
    story.report(LocalRation(number=1, request="request-overtaken", cm=60))
    sums = story.partition.sites[SITE].requests.sums("gate")
    assert (sums.buttons.after(0), sums.given.after(0)) == (60, 60)


def test_settling_writes_no_visitors_row_and_so_no_template() -> None:
    story, request = granted(GiveBack())
    decision = story.report(Dispensed(number=1, request=request, cm=60))
    assert decision.key == f"dispenser/{SITE}/gate/0"


def test_a_report_older_than_a_window_is_counted_once_by_its_number() -> None:
    story = Story()
    ration = LocalRation(number=3, request="long-ago-00000001", cm=60, ago_ms=541_000)
    assert [received(story, ration).cm, received(story, ration).cm] == [60, 0]


def test_a_report_that_is_delivered_again_shows_its_centimetres_again_and_one_that_came_twice_does_not() -> None:
    story, request = granted(GiveBack())
    first = received(story, Dispensed(number=1, request=request, cm=60))
    second = received(story, Dispensed(number=1, request=request, cm=60))
    again = [story.partition.fold(record).outcomes for record in story.records[-2:]]
    assert again == [(first,), (second,)]


def test_gaps_in_the_numbers_are_reported_with_every_report() -> None:
    story = Story()
    missing = [received(story, Stock(number=number, cm=9_000)).missing for number in (1, 4, 2, 3)]
    assert missing == [0, 2, 1, 0]


def test_the_numbers_of_a_dispenser_outlive_its_entries() -> None:
    story, request = granted(GiveBack())
    story.report(Dispensed(number=1, request=request, cm=60))
    for _ in range(2):
        story.wait(600)
        story.tick()
    assert received(story, Stock(number=2, cm=9_000)).missing == 0


def test_an_unreadable_report_is_noted_with_the_reason_and_is_no_gap_in_the_numbers() -> None:
    story, request = granted(GiveBack())
    received(story, Stock(number=1, cm=900))
    kept = received(story, UnreadableReport(number=2, reason="a reason"))
    assert kept.command == Ack(numbers=(2,), reason="a reason")
    assert (kept.what, kept.cm, kept.missing) == ("unreadable", 0, 0)
    assert received(story, Dispensed(number=3, request=request, cm=60)).missing == 0
    assert isinstance(asks_again(story), Refuse)


def test_an_unreadable_report_that_comes_twice_is_noted_twice() -> None:
    story = Story()
    kept = [received(story, UnreadableReport(number=1, reason="a reason")) for _ in range(2)]
    assert [outcome.command for outcome in kept] == [Ack(numbers=(1,), reason="a reason")] * 2


@pytest.mark.parametrize(
    ("report", "due"),
    [
        (Dispensed(number=1, request="request-0000000001", cm=100_000), 60),
        (Dispensed(number=1, request="request-0000000001", cm=100_000, ago_ms=1), 60),
        (LocalRation(number=1, request="never-arrived-001", cm=100_000), 60),
        (LocalRation(number=1, request="never-arrived-001", cm=100_000, ago_ms=600_000), 60),
    ],
)
def test_a_report_of_more_than_was_granted_is_flagged_and_does_not_close_the_dispenser(
    report: Dispensed | LocalRation, due: int
) -> None:
    story, request = granted(GiveBack())
    assert request == "request-0000000001"
    first, again = received(story, report), received(story, report)
    assert (first.cm, first.excess_cm) == (due, 100_000 - due)
    assert (again.cm, again.excess_cm) == (0, 0)
    assert isinstance(story.button().command, Dispense)


def test_the_excess_of_a_report_is_reported_again_at_its_redelivery() -> None:
    story, request = granted(GiveBack())
    first = received(story, Dispensed(number=1, request=request, cm=61))
    assert first.excess_cm == 1
    assert story.partition.fold(story.records[-1]).outcomes == (first,)
