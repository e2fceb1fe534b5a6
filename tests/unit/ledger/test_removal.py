"""A site that is taken out of service: its memory is void immediately, and deleted at the next tick."""

import random

from models.contract.codec import encode
from models.contract.messages import ButtonPressed, Dispense, Stock
from models.ledger.decision import Decision
from models.ledger.events import EpochEnded, Record, Requested, SiteConfigured, SiteHeld, SiteRemoved, SiteResumed
from models.ledger.outcomes import ControlChanged, Held, Removed, Resumed, SiteCounted, SiteRegistered
from models.ledger.partition import Partition
from models.ledger.rows import Row, site_key
from models.ledger.rules.policy import Policy, SiteSpec
from tests.support.story import RESERVED, SECRET, SITE, START, Story, folded

REMOVAL = SiteRemoved(site=SITE, why="closed", by="ops")


def crowd() -> Story:
    story = Story()
    for person in ("ann", "bob"):
        story.face(person)
    story.button()
    story.report(Stock(number=1, cm=900))
    story.wait(10)
    return story


def rows(decisions: list[Decision]) -> dict[str, Row]:
    """The table after these decisions, every template readable."""
    table: dict[str, Row] = {}
    for decision in decisions:
        for key in decision.removed:
            table.pop(key, None)
        if decision.row is not None:
            table[decision.key] = decision.row
    return table


def test_a_removal_withdraws_control_and_registration_and_leaves_a_receipt() -> None:
    control, registered, receipt = crowd().happens(REMOVAL).outcomes
    assert isinstance(control, ControlChanged)
    assert isinstance(registered, SiteRegistered)
    assert (control.control, registered.registered) == (None, None)
    assert control.revision == registered.revision == (START + 10_000, 5)
    assert isinstance(receipt, Removed)
    assert (receipt.templates, receipt.accounts, receipt.oldest_s, receipt.why, receipt.by) == (
        2,
        2,
        10.0,
        "closed",
        "ops",
    )


def test_after_the_next_tick_no_row_of_the_site_is_left_and_nothing_is_counted() -> None:
    story = crowd()
    story.happens(REMOVAL)
    assert Partition(SECRET, rows(story.decisions).items()).sites[SITE].count_templates(0) == 0
    ticked = story.tick()
    assert ticked.removed[-1] == site_key(SITE)
    assert rows(story.decisions).keys() == {"partition"}
    assert story.partition.sites == {}
    assert not [outcome for outcome in ticked.outcomes if isinstance(outcome, SiteCounted)]
    assert story.tick().removed == ()


def test_a_worker_that_dies_in_the_middle_of_that_tick_leaves_the_mark_until_all_else_is_gone() -> None:
    story = crowd()
    story.happens(REMOVAL)
    table, removed = rows(story.decisions), story.tick().removed
    for count in range(len(removed)):
        half = {key: row for key, row in table.items() if key not in removed[:count]}
        again = Partition(SECRET, half.items()).fold(
            Record(offset=len(story.records) - 1, at=story.now, event=story.records[-1].event)
        )
        assert set(again.removed) == set(removed[count:])
        assert again.outcomes == story.decisions[-1].outcomes


def test_what_comes_after_the_removal_leaves_rows_for_a_window_only() -> None:
    story = crowd()
    story.happens(REMOVAL)
    for _ in range(2):  # before and after the tick
        assert story.button().command == Dispense(request=f"request-{len(story.records) - 1:010d}", cm=60)
        story.report(Stock(number=len(story.records), cm=900))
        assert story.face("ann").identity is None
        story.tick()
    story.wait(540)
    story.tick()
    assert rows(story.decisions).keys() == {"partition"}


def test_the_end_of_an_epoch_and_of_a_hold_bring_no_removed_site_back() -> None:
    story = crowd()
    story.happens(REMOVAL)
    for _ in range(2):
        assert story.happens(EpochEnded(site=SITE, epoch=0)).outcomes == ()
        [receipt] = story.happens(SiteResumed(site=SITE)).outcomes
        assert isinstance(receipt, Resumed)
        story.tick()
        assert SITE not in story.partition.sites or not story.partition.sites[SITE].is_served


def test_a_removed_site_can_be_held() -> None:
    story = crowd()
    story.happens(REMOVAL)
    story.tick()
    control, registered, receipt = story.happens(SiteHeld(site=SITE, why="a stray camera")).outcomes
    assert isinstance(control, ControlChanged)
    assert control.control
    assert control.control.mode == "held"
    assert isinstance(registered, SiteRegistered)
    assert registered.registered
    assert registered.registered.spec == SiteSpec(devices=())
    assert isinstance(receipt, Held)


def test_a_site_that_comes_back_knows_no_visitor_and_has_a_higher_revision() -> None:
    for is_ticked in (False, True):
        story = crowd()
        removal = story.happens(REMOVAL)
        if is_ticked:
            story.tick()
        again = story.configure(Policy(give_back=RESERVED))
        before, after = removal.outcomes[0], again.outcomes[0]
        assert isinstance(before, ControlChanged)
        assert isinstance(after, ControlChanged)
        assert after.control
        assert after.revision > before.revision
        assert after.control.mode == "face"
        assert story.face("ann").identity == "new"
        story.tick()
        assert Partition(SECRET, rows(story.decisions).items()).sites[SITE].is_served


def something_happens(story: Story, chosen: random.Random) -> None:
    story.wait(chosen.choice([1, 60, 300]))
    match chosen.randrange(6):
        case 0:
            story.tick()
        case 1:
            story.happens(REMOVAL)
        case 2:
            story.configure(Policy(give_back=RESERVED))
        case 3:
            story.face(chosen.choice("abc"))
        case 4:
            story.button()
        case _:
            story.report(Stock(number=len(story.records), cm=9))


def test_removals_are_the_same_live_replayed_and_after_a_rebuild() -> None:
    for seed in range(30):
        chosen, story = random.Random(seed), Story()
        for _ in range(40):
            something_happens(story, chosen)
        live = [encode(decision) for decision in story.decisions]
        assert [encode(decision) for decision in folded(story.records)[1]] == live
        half = len(story.records) // 2
        partition = Partition(SECRET, rows(story.decisions[:half]).items())
        assert [encode(partition.fold(record)) for record in story.records[half:]] == live[half:]


def test_children_forbid_faces_whatever_the_event_states() -> None:
    story = Story()
    control, *_ = story.happens(SiteConfigured(site=SITE, mode="face", minors=True, policy=Policy())).outcomes
    assert isinstance(control, ControlChanged)
    assert control.control
    assert control.control.mode == "button"


def test_a_request_of_a_site_that_was_never_configured_is_decided_by_the_button_rule() -> None:
    partition = Partition(SECRET)
    asked = Requested(site="moon", device="gate", request=ButtonPressed(id="request-0000000001"))
    decision = partition.fold(Record(offset=0, at=START, event=asked))
    assert [type(outcome).__name__ for outcome in decision.outcomes] == ["Answered"]
