"""The replay's core: the same fold, on templates or on the record, and its statement about certainty."""

import pytest
from hypothesis import given
from msgspec import Raw, structs

from models.contract.codec import encode
from models.contract.messages import Dispense, Dispensed, FaceSeen, Forgotten, Refuse
from models.ledger.codec import decode_event
from models.ledger.events import Recalled, Record, Requested, SiteConfigured
from models.ledger.outcomes import Answered
from models.ledger.partition import Partition
from models.ledger.rows import SiteRow
from models.ledger.rules.policy import Policy
from models.replay.replay import Comparison, IdentitySource, Replay, Replayed
from tests.experiments.replay_proof.recorded import forgotten, recorded_events, recording, replayed
from tests.support.story import MODEL, RESERVED, SECRET, SITE, Story, folded, template
from tests.unit.ledger.test_fold_properties import streams

OTHER = b"o" * 32
"""a secret that no pseudonym of the recording comes from"""


def day() -> Story:
    """People come and come again, one in doubt; time passes."""
    story = Story(Policy(give_back=RESERVED))
    for person in ("ann", "bob", "ann"):
        story.face(person)
        story.wait(20)
    story.face("ann", flipped=180)
    story.button()
    story.staff()
    story.tick()
    story.wait(600)
    story.face("ann")
    story.face("ann")
    return story


def answers(received: list[Replayed]) -> list[Answered]:
    return [outcome for one in received for outcome in one.outcomes if isinstance(outcome, Answered)]


def comparison(received: list[Replayed]) -> set[Comparison]:
    return {one.comparison for one in received}


@given(streams())
def test_any_stream_whose_templates_can_be_read_is_replayed_byte_for_byte(records: list[Record]) -> None:
    received = replayed(recorded_events(records))
    assert comparison(received) == {Comparison.EQUAL}
    assert all(one.is_proven for one in received)


@given(streams())
def test_any_stream_whose_templates_are_forgotten_differs_only_where_it_says_so(records: list[Record]) -> None:
    received = replayed(forgotten(recorded_events(records)), secret=OTHER)
    assert comparison(received) <= {Comparison.EQUAL, Comparison.UNPROVEN}


@given(streams())
def test_what_is_proven_in_the_middle_of_a_stream_is_as_it_was(records: list[Record]) -> None:
    found = recorded_events(records)
    for first in (1, len(found) // 2):
        before, _ = folded(records[:first])
        settings = {name: site.settings for name, site in before.sites.items() if site.settings}
        received = replayed(found[first:], structs.replace(recording(first), settings={0: settings}))
        assert comparison([one for one in received if one.is_proven]) <= {Comparison.EQUAL, Comparison.UNPROVEN}


def test_the_excess_of_a_report_that_came_before_the_recording_too_is_no_difference() -> None:
    story = Story(Policy(give_back=RESERVED))
    report = Dispensed(number=1, request=story.button().command.request, cm=61)
    story.report(report)
    story.staff()
    story.wait(600)
    story.report(report)
    settings = {0: {SITE: structs.replace(settings_of(story), offset=0)}}
    *_, last = replayed(recorded_events(story.records)[3:], structs.replace(recording(3), settings=settings))
    assert (last.is_proven, last.comparison) == (True, Comparison.UNPROVEN)


def test_on_the_record_every_answer_is_the_recorded_one_even_with_another_secret() -> None:
    story = day()
    received = replayed(forgotten(recorded_events(story.records)), secret=OTHER)
    recorded = [
        outcome for decision in story.decisions for outcome in decision.outcomes if isinstance(outcome, Answered)
    ]
    assert [encode(answer) for answer in answers(received)] == [encode(answer) for answer in recorded]
    assert [one.identity_source for one in received if one.identity_source] == [IdentitySource.RECORD] * 6


def test_what_shows_who_somebody_was_is_the_template_as_long_as_there_is_one() -> None:
    assert [one.identity_source for one in replayed(recorded_events(day().records)) if one.identity_source] == [
        IdentitySource.TEMPLATE
    ] * 6


def test_a_site_that_needed_the_record_once_stays_on_it() -> None:
    found = recorded_events(day().records)
    received = replayed([*forgotten(found[:2]), *found[2:]])
    assert {one.identity_source for one in received if one.identity_source} == {IdentitySource.RECORD}
    assert {one.comparison for one in received if answers([one])} == {Comparison.EQUAL}


def test_a_face_that_nobody_could_read_then_is_not_read_now() -> None:
    story = Story()
    unreadable = Requested(site=SITE, device="gate", request=FaceSeen(id=story.next_id(), model=MODEL, template=None))
    story.happens(unreadable)
    found = recorded_events(story.records)
    opened = structs.replace(unreadable.request, template=template("ann"))
    found[-1] = structs.replace(found[-1], event=structs.replace(unreadable, request=opened))
    [*_, last] = replayed(found)
    assert (last.comparison, last.identity_source) == (Comparison.EQUAL, IdentitySource.NOTHING)


def test_on_the_record_who_was_forgotten_is_unknown_and_no_answer_depends_on_it() -> None:
    story = Story(Policy(give_back=RESERVED))
    story.face("ann")
    story.forget("ann")
    story.button()
    story.face("bob")
    story.wait(700)
    story.button()
    received = replayed(forgotten(recorded_events(story.records)))
    assert [answer.command for answer in answers(received[2:3])] == [Forgotten(request="request-0000000002", erased=1)]
    assert all(one.is_proven for one in received)
    assert [one.comparison for one in received[1:]] == [Comparison.EQUAL] * 5


def test_a_grant_before_the_recording_makes_an_answer_unproven() -> None:
    story = Story(Policy(give_back=RESERVED))
    story.face("ann")
    story.wait(60)
    story.face("ann")
    story.wait(700)
    story.face("ann")
    settings = {0: {SITE: structs.replace(settings_of(story), offset=0)}}
    early, late = replayed(recorded_events(story.records)[2:], structs.replace(recording(2), settings=settings))
    assert (early.is_proven, early.comparison) == (False, Comparison.UNPROVEN)
    assert (late.is_proven, late.comparison) == (True, Comparison.EQUAL)


def settings_of(story: Story) -> SiteRow:
    settings = story.partition.sites[SITE].settings
    assert settings
    return settings


def test_a_policy_can_be_tried_on_the_record_and_on_settings_from_before_it() -> None:
    story = Story(Policy(give_back=RESERVED))
    story.face("ann")
    story.face("ann")
    found = forgotten(recorded_events(story.records))

    def doubled(event: SiteConfigured) -> SiteConfigured:
        return structs.replace(event, policy=structs.replace(event.policy, limit_cm=120))

    for received in (
        replayed(found, rewrite=doubled),
        replayed(found[1:], structs.replace(recording(1), settings={0: {SITE: settings_of(story)}}), rewrite=doubled),
    ):
        assert all(isinstance(answer.command, Dispense) for answer in answers(received))
    assert [type(answer.command) for answer in answers(replayed(found))] == [Dispense, Refuse]


def test_what_the_fold_fails_on_is_reported_and_the_next_is_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = recorded_events(day().records)
    replay = Replay(recording(), SECRET)
    replay.fold(found[0])
    with monkeypatch.context() as patched:
        patched.setattr(Partition, "decide", lambda *_: 1 / 0)
        failed = replay.fold(found[1])
    assert (failed.comparison, failed.outcomes) == (Comparison.DIFFERENT, ())
    assert "ZeroDivisionError" in failed.failure
    assert replay.fold(found[5]).comparison is Comparison.EQUAL


def test_no_record_of_kafka_is_read_as_a_recalled_request() -> None:
    request = FaceSeen(id="request-0000000001", model=MODEL, template=None)
    recalled = Recalled(site=SITE, device="gate", request=request, identity="same", visitor="v", score=512)
    assert type(decode_event(encode(recalled))) is Requested


def test_an_outcome_of_another_version_is_different_and_breaks_nothing() -> None:
    found = recorded_events(day().records)
    newer = structs.replace(found[1], outcomes=(Raw(b'{"kind":"pondered","site":"park","offset":1}'),))
    assert replayed([found[0], newer])[1].comparison is Comparison.DIFFERENT
