"""The threshold that a crowd sets: by the model's curve and the policy's target."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from models.contract.codec import encode
from models.contract.face_models import (
    FACE_MODELS,
    TRILLION,
    CurvePoint,
    FaceModel,
    add_face_models,
    encode_face_model,
    with_thresholds,
)
from models.contract.messages import Dispense, ForgetRequested, Refuse
from models.errors import ConfigError
from models.ledger.outcomes import SiteCounted
from models.ledger.partition import Partition
from models.ledger.rules.policy import Policy
from tests.support.story import MODEL, RESERVED, SECRET, Story, template

STEEP = FaceModel(
    id=MODEL,
    dimensions=512,
    curve=(CurvePoint(300, 10**8, 0.01), CurvePoint(350, 5 * 10**7, 0.2), CurvePoint(400, 25 * 10**6, 0.5)),
    doubt=280,
    measured_to=350,
    source="a test",
)
"""At 100 of a million: 300 for one live template, 350 for two, 400 for three and four, none for more."""

rates = st.lists(st.integers(0, TRILLION), min_size=1, max_size=40).map(lambda found: sorted(found, reverse=True))
models = rates.map(
    lambda found: structs.replace(
        STEEP, curve=tuple(CurvePoint(300 + number, rate, 0.0) for number, rate in enumerate(found))
    )
)
crowds, targets = st.integers(0, 10**7), st.integers(1, 10**6)


def crowded(people: int, policy: Policy | None = None) -> Story:
    """A site of the steep model that remembers so many people."""
    story = Story(policy or Policy(give_back=RESERVED))
    story.partition = Partition(SECRET, models={MODEL: STEEP})
    story.configure(policy or Policy(give_back=RESERVED))
    for number in range(people):
        assert story.face(f"person {number}").identity == "new"
    return story


@given(models, crowds, targets)
def test_threshold_keeps_expected_matches_within_the_target(model: FaceModel, crowd: int, target: int) -> None:
    point = model.threshold(crowd, target)
    if point is not None:
        assert crowd * point.false_match <= target * 10**6


@given(models, crowds, targets)
def test_threshold_is_the_least_that_does(model: FaceModel, crowd: int, target: int) -> None:
    point = model.threshold(crowd, target)
    below = [each for each in model.curve if point is None or each.score < point.score]
    assert all(crowd * each.false_match > target * 10**6 for each in below)


@given(models, crowds, crowds, targets)
def test_larger_crowd_never_lowers_the_threshold(model: FaceModel, one: int, other: int, target: int) -> None:
    small, large = (model.threshold(crowd, target) for crowd in sorted((one, other)))
    assert large is None or (small is not None and small.score <= large.score)


@given(models, crowds, targets, targets)
def test_stricter_target_never_lowers_the_threshold(model: FaceModel, crowd: int, one: int, other: int) -> None:
    strict, loose = (model.threshold(crowd, target) for target in sorted((one, other)))
    assert strict is None or (loose is not None and loose.score <= strict.score)


@given(models, targets)
def test_largest_crowd_is_the_last_one_with_a_threshold(model: FaceModel, target: int) -> None:
    largest = model.largest_crowd(target)
    if largest is None:
        assert model.threshold(10**12, target) is not None
    else:
        assert model.threshold(largest, target) is not None
        assert model.threshold(largest + 1, target) is None


def test_growing_crowd_makes_a_site_more_generous() -> None:
    """The same capture, with 200 bits turned round, is the same visitor among one, and someone new among two."""
    alone, pair = crowded(1), crowded(2)
    again = alone.face("person 0", flipped=200)
    assert (again.identity, again.score, again.crowd, again.threshold) == ("same", 312, 1, 300)
    assert isinstance(again.command, Refuse)
    taken = pair.face("person 0", flipped=200)
    assert (taken.identity, taken.score, taken.crowd, taken.threshold) == ("doubt", 312, 2, 350)
    assert isinstance(taken.command, Dispense)


def test_where_the_curve_ends_newcomers_are_served_by_the_buttons_rule_and_not_remembered() -> None:
    story = crowded(4)
    newcomer = story.face("one more")
    assert (newcomer.identity, newcomer.visitor, type(newcomer.command)) == ("new", None, Dispense)
    assert story.partition.sites["park"].count_templates(0) == 4
    known = story.face("person 0")
    assert (known.identity, known.threshold, type(known.command)) == ("same", 400, Refuse)


def test_stricter_policy_remembers_fewer() -> None:
    strict = crowded(2, Policy(give_back=RESERVED, wrongful_per_million=50))
    assert strict.face("one more").visitor is None


def test_model_without_a_threshold_for_anyone_remembers_no_face() -> None:
    story = Story(Policy(give_back=RESERVED, wrongful_per_million=24))
    story.partition = Partition(SECRET, models={MODEL: STEEP})
    story.configure(Policy(give_back=RESERVED, wrongful_per_million=24))
    for _ in range(3):
        assert isinstance(story.face("ann").command, Dispense)
    assert story.partition.sites["park"].count_templates(0) == 0


def test_a_tick_counts_expected_errors_of_the_crowd() -> None:
    [counted] = crowded(2).tick().outcomes
    assert isinstance(counted, SiteCounted)
    assert counted.wrongful == pytest.approx(1e-4)
    assert counted.missed == 0.2


def test_forgetting_erases_whatever_the_smallest_crowd_would_recognise() -> None:
    story = crowded(3)
    near = (int.from_bytes(template("person 0")) ^ ((1 << 200) - 1)).to_bytes(64)
    story.answered(ForgetRequested(id=story.next_id(), model=MODEL, template=near))
    assert story.partition.sites["park"].count_templates(0) == 2


def test_decisions_are_the_same_after_a_rebuild() -> None:
    story = crowded(3)
    rows = {decision.key: decision.row for decision in story.decisions if decision.row}
    before = [story.face(person, flipped=150) for person in ("person 0", "ann")]
    other = crowded(3)
    other.partition = Partition(SECRET, list(rows.items()), models={MODEL: STEEP})
    assert list(map(encode, before)) == [encode(other.face(person, flipped=150)) for person in ("person 0", "ann")]


def test_fixed_thresholds_of_a_trial_hold_for_any_crowd() -> None:
    model = with_thresholds(390, 300)[MODEL]
    assert [point and point.score for point in (model.threshold(n, 1) for n in (0, 1, 10**6))] == [390] * 3


@pytest.mark.parametrize(
    "curve",
    [
        (CurvePoint(300, 5, 0.0), CurvePoint(300, 4, 0.0)),
        (CurvePoint(300, 5, 0.0), CurvePoint(310, 6, 0.0)),
        (CurvePoint(513, 5, 0.0),),
    ],
    ids=["one score twice", "rising false matches", "more than all bits"],
)
def test_curve_that_is_none_is_refused(curve: tuple[CurvePoint, ...]) -> None:
    with pytest.raises(ValueError, match="rising scores"):
        structs.replace(STEEP, curve=curve)


def test_every_model_of_this_version_reads_back_from_its_file() -> None:
    for model in FACE_MODELS.values():
        assert json.loads(encode_face_model(model))["id"] == model.id
        assert model.doubt <= model.least_threshold


def test_operators_model_is_added_and_another_of_its_name_refused(tmp_path: Path) -> None:
    model = structs.replace(STEEP, id="city/1")
    (tmp_path / "city.json").write_bytes(encode_face_model(model))
    add_face_models(tmp_path)
    assert FACE_MODELS["city/1"] == model
    (tmp_path / "city.json").write_bytes(encode_face_model(structs.replace(model, doubt=1)))
    with pytest.raises(ConfigError, match="another face model with the id city/1"):
        add_face_models(tmp_path)
    del FACE_MODELS["city/1"]
