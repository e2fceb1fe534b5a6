"""What is erased on request, by a hold and by the end of an epoch, and what of it goes on counting."""

import gc
import random
from collections.abc import Sequence

import pytest

from models.contract.codec import encode
from models.contract.face_models import FACE_MODELS
from models.contract.messages import Dispense, Dispensed, FaceSeen, ForgetRequested, Forgotten, Refuse
from models.ledger.codec import decode_row
from models.ledger.events import EpochEnded, SiteHeld
from models.ledger.outcomes import Answered, SiteCounted
from models.ledger.partition import Partition
from models.ledger.rows import VisitorAccount, is_visitor_key
from models.ledger.rules.policy import Policy
from models.ledger.state.template_index import TemplateIndex
from tests.support.story import MODEL, RESERVED, SECRET, SITE, TEMPLATE_BITS, Story, template

STRANGERS = TEMPLATE_BITS - FACE_MODELS[MODEL].least_threshold + 1
"""Bits by which two templates differ that are taken for two people."""


def two_accounts(policy: Policy) -> tuple[Story, ForgetRequested]:
    """Ann was remembered as two visitors, and her forget request matches both; Bob is another visitor."""
    story = Story(policy)
    story.face("ann")
    story.face("ann", flipped=STRANGERS)
    story.face("bob")
    between = template("ann", STRANGERS // 2)
    return story, ForgetRequested(id="forget-ann-000001", model=MODEL, template=between)


def commands(outcomes: Sequence[object]) -> list[object]:
    return [outcome.command for outcome in outcomes if isinstance(outcome, Answered)]


def test_forgetting_erases_every_matching_template_and_keeps_what_was_granted() -> None:
    story, forget = two_accounts(Policy(give_back=RESERVED, dispenser_limit_cm=180))
    assert story.answered(forget).command == Forgotten(request=forget.id, erased=2)
    [counted] = story.tick().outcomes
    assert isinstance(counted, SiteCounted)
    assert counted.templates == 1
    refused = story.button().command
    assert isinstance(refused, Refuse)
    assert refused.reason == "dispenser_limit"


def test_forgetting_is_one_row_and_a_tick_removes_the_rows_that_it_replaces() -> None:
    story, forget = two_accounts(Policy(give_back=RESERVED))
    visitors = {key for key in story.partition.sites[SITE].accounts if is_visitor_key(key)}
    story.answered(forget)
    decision = story.decisions[-1]
    assert (decision.removed, isinstance(decision.row, VisitorAccount)) == ((), True)
    left = {key for key in story.partition.sites[SITE].accounts if is_visitor_key(key)}
    assert set(story.tick().removed) == visitors - left
    assert len(visitors - left) == 1
    assert story.tick().removed == ()


@pytest.mark.parametrize("seed", range(5))
def test_forgetting_is_the_same_after_a_rebuild_in_any_order(seed: int) -> None:
    story, forget = two_accounts(Policy(give_back=RESERVED, dispenser_limit_cm=240))
    story.answered(forget)
    rows = {decision.key: encode(decision.row) for decision in story.decisions}
    shuffled = random.Random(seed).sample(sorted(rows.items()), len(rows))
    rebuilt = Partition(SECRET, [(key, decode_row(row)) for key, row in shuffled])
    assert rebuilt.sites[SITE].accounts == story.partition.sites[SITE].accounts
    assert rebuilt.sites[SITE].expired(0) == story.partition.sites[SITE].expired(0) != []
    known = story.partition
    story.partition = rebuilt
    again = story.answered(forget)
    assert (again.command, again.repeated) == (Forgotten(request=forget.id, erased=2), True)
    assert isinstance(story.button().command, Dispense)
    assert isinstance(story.button().command, Refuse)
    assert known.at == rebuilt.at


def test_forgetting_a_stranger_is_answered_too() -> None:
    answered = Story().forget("ann")
    assert isinstance(answered.command, Forgotten)
    assert answered.command.erased == 0


def test_face_and_forget_again_and_again_takes_nothing_from_the_button_of_others() -> None:
    story = Story(Policy(give_back=RESERVED, button_budget_cm=120, dispenser_limit_cm=600))
    for _ in range(9):
        assert isinstance(story.face("ann").command, Dispense)
        story.forget("ann")
    assert isinstance(story.button().command, Dispense)
    refused = story.face("ann").command
    assert isinstance(refused, Refuse)
    assert refused.reason == "dispenser_limit"


def test_a_hold_erases_visitors_and_leaves_the_buttons_their_budget() -> None:
    story = Story(Policy(button_budget_cm=120, dispenser_limit_cm=300))
    for number, person in enumerate(("ann", "bob", "cid"), 1):
        granted = story.face(person).command.request
        story.report(Dispensed(number=number, request=granted, cm=60))
    story.happens(SiteHeld(site=SITE, why="a complaint"))
    assert [type(story.button().command) for _ in range(3)] == [Dispense, Dispense, Refuse]


def test_of_an_epoch_that_ended_no_index_stays_in_memory() -> None:
    def indexes() -> int:
        gc.collect()
        return sum(type(thing) is TemplateIndex for thing in gc.get_objects())

    before, story = indexes(), Story()
    for epoch in range(9):
        face = FaceSeen(id=story.next_id(), model=MODEL, epoch=epoch, template=template("ann"))
        assert story.answered(face).identity == "new"
        story.happens(EpochEnded(site=SITE, epoch=epoch))
    assert indexes() == before
