"""What-if: the same people under another policy or other thresholds, and what a recording can tell of that."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from msgspec import structs

from models.contract.face_models import with_thresholds
from models.contract.messages import Declined, Dispensed
from models.errors import ConfigError
from models.ledger.events import Record
from models.ledger.rules.policy import Policies, Policy, parse_policies
from models.replay.recording import RecordedEvent, Recording
from models.replay.trial_totals import TrialCounts, TrialTotals
from models.replay.what_if import Basis, Trial, TrialAnswer, WhatIf
from tests.experiments.replay_proof.recorded import forgotten, recorded_events, recording
from tests.support.story import MODEL, RESERVED, SECRET, SITE, Story
from tests.unit.ledger.test_fold_properties import streams


def policy(**changes: int) -> Policy:
    return structs.replace(Policy(give_back=RESERVED), **changes)


def compared(found: Iterable[RecordedEvent], trial: Trial, of: Recording | None = None) -> list[TrialAnswer]:
    tried = WhatIf(of or recording(), SECRET, trial)
    return [one for recorded in found if (one := tried.fold(recorded)[1])]


def under(policy: Policy) -> Trial:
    return Trial(policies=Policies(sites={SITE: policy}))


def decisions_of(answers: Iterable[TrialAnswer]) -> list[str]:
    return ["give" if one.trial.command.__struct_config__.tag == "dispense" else "refuse" for one in answers]


def bases(answers: Iterable[TrialAnswer]) -> list[Basis]:
    return [one.basis for one in answers]


def difference(answers: Iterable[TrialAnswer]) -> TrialCounts:
    comparison = TrialTotals()
    for one in answers:
        comparison.add(one)
    return comparison.total


def three_visits() -> Story:
    """Ann comes at 0, 60 and 120 s; 60 cm of 120 are left for her second visit and none for the third."""
    story = Story(policy(limit_cm=120))
    for _ in range(3):
        story.face("ann")
        story.wait(60)
    return story


@given(streams())
def test_the_policy_of_then_changes_nothing(records: list[Record]) -> None:
    answers = compared(recorded_events(records), Trial())
    assert [one.trial for one in answers] == [one.recorded for one in answers]
    assert Basis.NOTHING not in bases(answers)


@given(streams())
def test_the_policy_of_then_changes_nothing_on_the_record_either(records: list[Record]) -> None:
    assert difference(compared(forgotten(recorded_events(records)), Trial())).changed == 0


def test_a_smaller_limit_refuses_more() -> None:
    total = difference(compared(recorded_events(three_visits().records), under(policy(limit_cm=60))))
    assert total == TrialCounts(
        answers=3,
        from_templates=3,
        changed=1,
        refused_more=1,
        cm_recorded=120,
        cm_trial=60,
        refused_recorded=1,
        refused_trial=2,
        longest_wait_recorded_s=540 - 120,
        longest_wait_trial_s=540 - 60,
    )


def test_a_larger_limit_grants_more() -> None:
    total = difference(compared(recorded_events(three_visits().records), under(policy(limit_cm=180))))
    assert (total.changed, total.granted_more, total.refused_more) == (1, 1, 0)
    assert (total.cm_recorded, total.cm_trial, total.refused_trial, total.longest_wait_trial_s) == (120, 180, 0, 0)


def test_another_portion_is_a_change_of_every_grant() -> None:
    total = difference(compared(recorded_events(three_visits().records), under(policy(portion_cm=40, limit_cm=120))))
    assert (total.changed, total.granted_more, total.cm_recorded, total.cm_trial) == (3, 1, 120, 120)


def test_sites_that_the_trial_does_not_name_keep_their_policy() -> None:
    trial = Trial(policies=Policies(sites={"square": policy()}))
    assert difference(compared(recorded_events(three_visits().records), trial)).changed == 0


def test_counts_are_by_site_and_hour() -> None:
    story = Story(policy())
    for seconds in (0, 60, 7_200):
        story.wait(seconds)
        story.face("ann")
    comparison = TrialTotals()
    for one in compared(recorded_events(story.records), under(policy(limit_cm=120))):
        comparison.add(one)
    assert [cell.answers for cell in comparison.by_hour().values()] == [2, 1]
    assert [cell.changed for cell in comparison.by_hour().values()] == [1, 0]
    assert comparison.by_site() == {SITE: comparison.total}


# -- what motors would have done ----------------------------------------------------------------------


def test_a_portion_that_only_the_trial_grants_came_out_in_full() -> None:
    story = Story(Policy())
    first = story.face("ann")
    story.report(Dispensed(number=1, request=first.command.request, cm=60))
    for seconds in (10, 130):  # longer than an unreported grant counts
        story.wait(seconds)
        story.face("ann")
    answers = compared(recorded_events(story.records), under(Policy(limit_cm=120)))
    assert decisions_of(answers) == [
        "give",
        "give",
        "refuse",
    ]


def test_a_portion_that_the_trial_refuses_did_not_come_out() -> None:
    story = Story(Policy(limit_cm=120, dispenser_limit_cm=180, portion_cm=60))
    for number in (1, 2):
        grant = story.face("ann")
        story.report(Dispensed(number=number, request=grant.command.request, cm=60))
    story.face("bob")
    story.face("cleo")
    assert decisions_of(compared(recorded_events(story.records), Trial())) == ["give", "give", "give", "refuse"]
    tried = under(Policy(limit_cm=60, dispenser_limit_cm=180))
    assert decisions_of(compared(recorded_events(story.records), tried)) == ["give", "refuse", "give", "give"]


def test_what_a_motor_did_not_give_it_does_not_give_on_trial() -> None:
    story = Story(policy(limit_cm=120))
    jammed = story.face("ann")
    story.report(Dispensed(number=1, request=jammed.command.request, cm=20, fault="jam"))
    story.face("ann")
    late = story.face("bob")
    story.report(Declined(number=2, request=late.command.request, reason="late"))
    story.face("bob")
    tried = under(policy(portion_cm=50, limit_cm=70))
    assert decisions_of(compared(recorded_events(story.records), tried)) == ["give", "give", "give", "give"]


# -- what a recording can answer ----------------------------------------------------------------------


def test_without_templates_a_face_is_not_answerable_and_counts_on_neither_side() -> None:
    story = three_visits()
    story.button()
    answers = compared(forgotten(recorded_events(story.records)), under(policy(limit_cm=60)))
    assert bases(answers) == [Basis.NOTHING] * 3 + [Basis.NO_FACE]
    total = difference(answers)
    assert (total.answers, total.from_templates, total.without_face, total.not_answerable) == (4, 0, 1, 3)
    assert (total.changed, total.cm_recorded, total.cm_trial) == (0, 60, 60)


def test_a_window_that_reaches_before_the_recording_is_not_answerable() -> None:
    story = Story(policy())
    story.face("ann")
    story.wait(700)
    story.face("bob")
    story.wait(1_200)
    story.face("bob")
    row = story.partition.sites[SITE].settings
    assert row
    middle = Recording(
        since=0, until=2**60, first={0: 2}, settings={0: {SITE: structs.replace(row, offset=0, floor=0)}}
    )
    answers = compared(recorded_events(story.records)[2:], under(policy(window_s=1_100)), middle)
    assert bases(answers) == [Basis.NOTHING, Basis.TEMPLATES]


def test_answers_after_the_beginning_are_answerable_however_much_the_trial_changes() -> None:
    story = Story(policy())
    for number in range(90):
        story.face(f"{number // 3}")
        story.wait(100)
    row = story.partition.sites[SITE].settings
    assert row
    middle = Recording(
        since=0, until=2**60, first={0: 2}, settings={0: {SITE: structs.replace(row, offset=0, floor=0)}}
    )
    answers = compared(recorded_events(story.records)[2:], under(policy(portion_cm=30, limit_cm=60)), middle)
    assert bases(answers)[-78:] == [Basis.TEMPLATES] * 78
    assert difference(answers).changed > 50


# -- thresholds ---------------------------------------------------------------------------------------


def at_thresholds(same: int, doubt: int | None = None) -> Trial:
    return Trial(models=with_thresholds(same, doubt))


def two_looks(flipped: int) -> Story:
    story = Story(policy())
    story.face("ann")
    story.face("ann", flipped=flipped)
    return story


def test_templates_answer_any_threshold() -> None:
    found = recorded_events(two_looks(flipped=100).records)
    assert decisions_of(compared(found, at_thresholds(412))) == ["give", "refuse"]
    assert decisions_of(compared(found, at_thresholds(413))) == ["give", "give"]
    [_, other] = compared(recorded_events(two_looks(flipped=200).records), at_thresholds(312))
    assert (other.recorded.identity, other.trial.identity, other.basis) == ("new", "same", Basis.TEMPLATES)


def test_a_lower_doubt_threshold_changes_no_answer() -> None:
    answers = compared(recorded_events(two_looks(flipped=190).records), Trial(models=with_thresholds(None, 300)))
    assert difference(answers).changed == 0
    assert [one.trial.identity for one in answers] == ["new", "doubt"]
    assert MODEL == "synthetic/1"


# -- policies and thresholds as operators write them --------------------------------------------------


def test_a_trial_names_one_site_or_all_of_them_or_is_a_file_of_sites() -> None:
    for text, of_park, of_others in (
        ("[policy]\nlimit_cm = 120\n", 120, 120),
        ("[sites.park.policy]\nlimit_cm = 120\n", 120, None),
        ("[sites.park.policy]\nlimit_cm = 120\n[policy]\nlimit_cm = 180\n", 120, 180),
        ('[sites.park]\ndevices = ["gate"]\nmode = "face"\n[sites.park.policy]\nlimit_cm = 120\n', 120, None),
    ):
        policies = parse_policies(text, "new.toml")
        limits = [tried and tried.limit_cm for tried in (policies.of("park"), policies.of("square"))]
        assert limits == [of_park, of_others]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[policy]\nlimit_cm = 1\n", "limit_cm is below portion_cm"),
        ("[sites.park.policy]\nlimit = 60\n", "unknown field `limit` - at `$.sites.park.policy`"),
        ("[sites.park.polcy]\nlimit_cm = 60\n", "unknown field `polcy` - at `$.sites.park`"),
        ("[policies]\n", "unknown field `policies`"),
        ("", "it has no policy"),
    ],
)
def test_a_policy_that_cannot_be_tried_is_reported_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_policies(text, "new.toml")
    assert str(raised.value).startswith("new.toml: ")
    assert complaint in str(raised.value)


def test_thresholds_that_leave_no_room_for_doubt_are_refused() -> None:
    with pytest.raises(ConfigError, match="doubt=400 is above same=390"):
        with_thresholds(390, 400)
