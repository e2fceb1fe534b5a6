"""Hold and resume, epochs, placement: what a site forgets as a whole, and how it goes on."""

import random
from collections.abc import Callable

from msgspec import structs

from models.contract.codec import encode
from models.contract.face_models import FACE_MODELS
from models.contract.messages import Control, Dispense, FaceSeen, ForgetRequested, Forgotten, Revision
from models.ledger.codec import decode_row
from models.ledger.decision import Decision
from models.ledger.events import EpochEnded, Requested, SiteConfigured, SiteHeld, SiteResumed
from models.ledger.outcomes import ControlChanged, EpochBegan, Held, Outcome, Resumed, SiteCounted, SiteRegistered
from models.ledger.partition import Partition
from models.ledger.rows import VisitorAccount
from models.ledger.rules.policy import Policy
from tests.support.story import MODEL, RESERVED, SECRET, SITE, Story, template


def control(decision: Decision) -> Control:
    [changed] = [outcome for outcome in decision.outcomes if isinstance(outcome, ControlChanged)]
    assert changed.control
    return changed.control


def receipt(decision: Decision) -> Outcome:
    [received] = [outcome for outcome in decision.outcomes if not isinstance(outcome, ControlChanged | SiteRegistered)]
    return received


def crowd() -> Story:
    story = Story()
    for person in ("ann", "bob", "cid"):
        story.face(person)
        story.wait(10)
    story.button()
    return story


def hold(story: Story) -> Decision:
    return story.happens(SiteHeld(site=SITE, why="a complaint", by="ops"))


def resume(story: Story) -> Decision:
    return story.happens(SiteResumed(site=SITE))


def test_a_hold_shows_every_device_and_gives_a_receipt_of_what_is_gone() -> None:
    decision = hold(crowd())
    assert control(decision).mode == "held"
    received = receipt(decision)
    assert isinstance(received, Held)
    assert (received.templates, received.accounts, received.oldest_s, received.why, received.by) == (
        3,
        3,
        30.0,
        "a complaint",
        "ops",
    )


def test_a_hold_twice_finds_nothing_more() -> None:
    story = crowd()
    hold(story)
    received = receipt(hold(story))
    assert isinstance(received, Held)
    assert (received.templates, received.accounts) == (0, 0)


def test_on_a_held_site_a_face_counts_as_a_button_and_leaves_no_template() -> None:
    story = crowd()
    hold(story)
    answered = story.face("ann")
    assert isinstance(answered.command, Dispense)
    assert (answered.identity, answered.visitor, answered.score) == (None, None, None)
    assert not any(isinstance(row, VisitorAccount) for row in story.partition.sites[SITE].accounts.values())


def test_after_a_hold_a_tick_sweeps_the_rows_of_those_who_were_remembered() -> None:
    story = crowd()
    visitors = {key for key in story.partition.sites[SITE].accounts if key.startswith("visitor/")}
    hold(story)
    assert set(story.tick().removed) == visitors
    assert story.tick().removed == ()


def test_a_hold_outlives_a_new_configuration() -> None:
    story = crowd()
    hold(story)
    assert control(story.configure(Policy(portion_cm=50))).mode == "held"
    assert control(resume(story)).mode == "face"


def test_a_resumed_site_knows_nobody_of_before() -> None:
    story = crowd()
    hold(story)
    received = receipt(resume(story))
    assert isinstance(received, Resumed)
    assert received.mode == "face"
    assert story.face("ann").identity == "new"
    assert story.face("ann").identity == "same"


def test_a_hold_is_the_same_after_a_rebuild_in_any_order() -> None:
    story = crowd()
    rows: dict[str, bytes] = {}
    for decision in [*story.decisions, hold(story)]:
        assert decision.row is not None
        rows[decision.key] = encode(decision.row)
    for seed in range(5):
        shuffled = random.Random(seed).sample(sorted(rows.items()), len(rows))
        rebuilt = Partition(SECRET, [(key, decode_row(row)) for key, row in shuffled])
        assert rebuilt.sites[SITE].accounts == story.partition.sites[SITE].accounts
        assert rebuilt.sites[SITE].count_templates(0) == 0
        assert rebuilt.sites[SITE].expired(0) == story.partition.sites[SITE].expired(0) != []


def test_a_site_that_goes_over_to_buttons_forgets_at_once() -> None:
    story = crowd()
    story.configure(Policy(give_back=RESERVED), "button")
    story.configure(Policy(give_back=RESERVED), "face")
    assert story.face("ann").identity == "new"


def test_to_be_forgotten_on_a_held_site_is_true_already() -> None:
    story = crowd()
    hold(story)
    command = story.ask(ForgetRequested(id=story.next_id(), model=MODEL, template=None))
    assert isinstance(command, Forgotten)
    assert command.erased == 0


def test_a_forget_that_cannot_be_read_is_not_answered_where_faces_are_known() -> None:
    story = crowd()
    asked = ForgetRequested(id=story.next_id(), model=MODEL, template=None)
    assert story.happens(Requested(site=SITE, device="gate", request=asked)).outcomes == ()


def test_the_end_of_an_epoch_is_reported_once_and_its_templates_are_gone() -> None:
    story = crowd()
    decision = story.happens(EpochEnded(site=SITE, epoch=0))
    assert control(decision).epoch == 1
    received = receipt(decision)
    assert isinstance(received, EpochBegan)
    assert (received.epoch, received.templates) == (1, 3)
    assert story.happens(EpochEnded(site=SITE, epoch=0)).outcomes == ()


def test_a_template_of_another_epoch_is_never_compared_and_nobody_is_refused_for_it() -> None:
    story = crowd()
    story.happens(EpochEnded(site=SITE, epoch=0))
    late = story.face("ann")
    asked = FaceSeen(id=story.next_id(), model=MODEL, epoch=1, template=template("ann"))
    new = story.answered(asked)
    assert (late.identity, new.identity) == ("unreadable", "new")
    assert isinstance(late.command, Dispense)
    assert isinstance(new.command, Dispense)


def test_an_epoch_ends_when_its_time_is_over_and_only_where_faces_are_known() -> None:
    story = Story(Policy(epoch_s=3_600))
    assert story.partition.ended_epochs() == []
    story.wait(3_600)
    story.tick()
    [ended] = story.partition.ended_epochs()
    story.happens(ended)
    assert story.partition.ended_epochs() == []
    story.wait(3_600)
    hold(story)
    assert story.partition.ended_epochs() == []


def test_inside_a_restroom_no_configuration_looks_at_faces() -> None:
    story = Story()
    decision = story.happens(SiteConfigured(site=SITE, mode="face", policy=Policy(), placement="inside"))
    assert (control(decision).mode, control(decision).placement) == ("button", "inside")


def test_a_tick_shows_how_many_of_those_who_are_remembered_a_newcomer_is_expected_to_match() -> None:
    [counted] = crowd().tick().outcomes
    assert isinstance(counted, SiteCounted)
    assert counted.wrongful == 3 * FACE_MODELS[MODEL].curve[0].false_match / 10**12
    assert (counted.mode, counted.epoch, counted.epoch_age_s) == ("face", 0, 30.0)


def test_a_site_s_own_sign_reaches_its_dispensers_and_outlives_a_hold() -> None:
    story = Story()
    decision = story.happens(SiteConfigured(site=SITE, mode="face", policy=Policy(), sign="Ask us."))
    assert control(decision).sign == control(hold(story)).sign == "Ask us."


def test_every_change_of_a_site_has_a_higher_revision_and_nothing_else_has() -> None:
    story = crowd()
    changes: list[Callable[[], Decision]] = [
        lambda: hold(story),
        lambda: resume(story),
        lambda: story.configure(Policy()),
        lambda: story.happens(EpochEnded(site=SITE, epoch=0)),
    ]
    found = [control(story.configure(Policy())).revision]
    for change in changes:
        story.wait(3)
        found.append(control(change()).revision)
        story.wait(3)
        story.tick()
        story.face("ann")
        story.happens(SiteHeld(site="lake", why="another site"))
    assert found == sorted(set(found))
    settings = story.partition.sites[SITE].settings
    assert settings
    assert settings.revision == found[-1]


def test_a_redelivered_change_has_the_revision_of_the_newest_one() -> None:
    story = crowd()
    held = control(hold(story))
    for record in story.records:
        if isinstance(record.event, SiteConfigured | SiteHeld):
            assert control(story.partition.fold(record)) == held


def test_a_revision_grows_where_the_time_falls_back() -> None:
    story = crowd()
    settings = story.partition.sites[SITE].settings
    assert settings
    later = settings.revision.at + 86_400_000
    story.partition.sites[SITE].settings = structs.replace(settings, revision=Revision(later, 3))
    assert control(hold(story)).revision == Revision(later, story.records[-1].offset)


def test_a_site_can_be_held_before_it_is_configured() -> None:
    story = Story()
    decision = story.happens(SiteHeld(site="lake", why="not yet"))
    assert control(decision).mode == "held"
