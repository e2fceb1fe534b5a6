"""What holds whatever dispensers and people do: limits, rows and memory are bounded."""

import pytest

from models.contract.messages import ButtonPressed, Declined, Dispense, Dispensed, FaceSeen, Refuse
from models.ledger.policy import GiveBack, Policy
from tests.support.story import MODEL, Story, template


@pytest.mark.parametrize("report", ["jam", "declined", "nothing"])
def test_a_dispensers_limit_holds_whatever_it_reports(report: str) -> None:
    """Stranger after stranger, and each motor run is said to have failed, or not to have been."""
    story, granted = Story(Policy(dispenser_limit_cm=600, give_back=GiveBack(unreported_s=0))), 0
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
    story = Story(Policy(button_budget_cm=120, give_back=GiveBack(unreported_s=0)))
    for n in range(2):
        command = story.button().command
        story.report(Dispensed(number=n + 1, request=command.request, cm=0, fault="jam"))
    assert isinstance(story.button().command, Refuse)
    assert isinstance(story.answered(ButtonPressed(id=story.next_id()), "door").command, Dispense)


def test_a_visitor_gets_back_what_a_jam_held_though_the_dispenser_does_not() -> None:
    story = Story(Policy(dispenser_limit_cm=120))
    first = story.face("ann").command
    story.report(Dispensed(number=1, request=first.request, cm=0, fault="jam"))
    again = FaceSeen(id=story.next_id(), model=MODEL, template=template("ann"))
    assert isinstance(story.answered(again, "door").command, Dispense)
