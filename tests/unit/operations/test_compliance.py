"""The compliance report of a site: facts in, lines out."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from infra.compliance.facts import Facts, Live, Seal, Traffic
from infra.compliance.measured_accuracy import MEASURED
from infra.compliance.report import count, html, lines, markdown, sections
from infra.compliance.statement import Line
from models.contract.face_models import FACE_MODELS, CurvePoint
from models.contract.messages import Control, DeviceState, Mode
from models.contract.topics import Topics, kafka_topics
from models.keys.seal_chain import SiteFacts
from models.ledger.outcomes import Answered, Held, Outcome, SiteCounted
from models.ledger.rules.policy import Policy, SiteSpec
from tests.support.story import START, Story

TOPICS = Topics()

MINUTE = START // 60_000
FACE = SiteSpec(devices=("gate",), mode="face")
BUTTON = SiteSpec(devices=("gate",), mode="button", placement="inside")
PROVEN = structs.replace(FACE_MODELS["dlib-resnet/1"], curve=(CurvePoint(380, 10**6, 0.05),), people=5_000)
"""A model as one may be once: a false match rate of 1e-6, measured on enough people."""


def control(mode: Mode = "face", spec: SiteSpec = FACE) -> Control:
    return Control(
        site="park",
        mode=mode,
        policy=spec.policy.version,
        epoch=0,
        ration_cm=60,
        ration_budget_cm=6_000,
        window_s=spec.policy.window_s,
        placement=spec.placement,
        sign=spec.sign,
    )


def seal(mode: Mode = "face", oldest: int | None = MINUTE - 9, destroyed: int = 0) -> Seal:
    chain = None if oldest is None else "c" * 16
    found = SiteFacts(mode=mode, window_s=540, chain=chain, oldest=oldest, since=START, destroyed=destroyed)
    return Seal(at=START, site=found)


def traffic(outcomes: Iterable[Outcome] = ()) -> Traffic:
    added = Traffic()
    for outcome in outcomes:
        added.note(outcome)
    return added


def counted(**found: float) -> SiteCounted:
    fields = {"site": "park", "offset": 1, "at": START, "templates": 0, "accounts": 0, "oldest_s": 0.0} | found
    return msgspec.convert(fields, SiteCounted)


def live(spec: SiteSpec = FACE, model: str = "dlib-resnet/1", outcomes: Iterable[Outcome] = ()) -> Live:
    """A pipeline that works as it should."""
    mode = spec.mode
    return Live(
        topics=[(topic, dict(topic.config)) for topic in kafka_topics(TOPICS, 4, spec.policy.window_s)],
        control=control(mode, spec),
        states={"gate": DeviceState(online=True, firmware="fairroll-0.1.0", mode=mode, model=model)},
        traffic=traffic([counted(templates=0), *outcomes]),
        receipts=[],
        seal=seal() if mode == "face" else seal("button", None),
    )


def facts(spec: SiteSpec = FACE, seen: Live | None = None) -> Facts:
    return Facts(
        site="park",
        spec=spec,
        settings_source="sites.toml",
        topics=TOPICS,
        mqtt="b:1883",
        kafka="b:9092",
        at=START,
        live=seen,
    )


def line(found: Facts, fact: str) -> Line:
    [match] = [line for line in lines(sections(found)) if line.fact.startswith(fact)]
    return match


def day_of_faces() -> list[Outcome]:
    """Three visitors between two counts; the first comes again."""
    story = Story()
    for person in ("ann", "bob", "cid", "ann"):
        story.face(person)
        story.wait(5)
    story.tick()
    return [outcome for decision in story.decisions for outcome in decision.outcomes]


def among(crowd: int) -> list[Answered]:
    """The answers of the same day, each in a crowd of so many templates."""
    answers = [outcome for outcome in day_of_faces() if isinstance(outcome, Answered)]
    return [structs.replace(each, crowd=crowd) for each in answers]


def test_without_a_pipeline_nothing_passes_but_what_the_settings_tell() -> None:
    found = sections(facts())
    assert [line.fact for line in lines(found) if line.verdict == "pass"] == ["Paper without a face"]
    assert count(found)["not checked"] > count(found)["needs counsel"]


def test_a_site_without_faces_has_nothing_that_fails_and_nothing_for_counsel() -> None:
    offline, running = count(sections(facts(BUTTON))), count(sections(facts(BUTTON, live(BUTTON))))
    assert [(found["fail"], found["needs counsel"]) for found in (offline, running)] == [(0, 0), (0, 0)]
    assert (offline["pass"], running["pass"]) == (2, 11)


def test_a_site_with_faces_needs_counsel_whatever_its_settings() -> None:
    found = facts(FACE, live())
    for fact in ("Faces are captured", "Where the", "Purpose", "Children", "How a visitor consents", "An impact"):
        assert line(found, fact).verdict == "needs counsel"
    for fact in ("What leaves", "Who compares", "How many people", "How long a template", "Records"):
        assert line(found, fact).verdict == "needs counsel"


def test_photos_before_the_camera_and_errors_by_group_fail_for_they_are_not_measured() -> None:
    assert line(facts(), "Photos and masks").verdict == "fail"
    assert line(facts(), "Errors by skin tone").verdict == "fail"


def test_a_pipeline_that_looks_inside_after_the_file_has_changed_fails() -> None:
    still = structs.replace(live(BUTTON), control=control("face"))
    found = line(facts(BUTTON, still), "Where the dispensers hang")
    assert (found.verdict, "fairroll hold" in found.why) == ("fail", True)


def test_the_default_sign_is_shown_with_the_sites_window_and_does_not_say_who_answers() -> None:
    found = line(facts(structs.replace(FACE, policy=Policy(window_s=600))), "What people read")
    assert "10 minutes at most" in found.found
    assert "plate" in found.why


def test_a_sign_of_ones_own_is_shown_and_left_to_a_reader() -> None:
    found = line(facts(structs.replace(FACE, sign="Look here | <b>please</b>")), "What people read")
    assert found.found == "Look here | <b>please</b>"
    assert "for a reader" in found.why


# -- how often it is wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["dlib-resnet/1", "facenet-vggface2/1", "synthetic/1"])
def test_model_that_recognises_too_few_within_the_target_fails(model: str) -> None:
    assert line(facts(FACE, live(model=model)), "False match rate").verdict == "fail"


def test_crowd_for_which_a_model_is_fit_is_stated_and_follows_the_policy() -> None:
    found = line(facts(FACE, live(model="mobilefacenet/1")), "False match rate")
    assert found.verdict == "needs counsel"
    largest = FACE_MODELS["mobilefacenet/1"].largest_crowd(100, 0.5)
    assert f"up to {largest} live templates at 100 of a million" in found.why


def test_a_model_that_nobody_knows_fails() -> None:
    found = facts(FACE, live(model="other/1"))
    assert [line(found, fact).verdict for fact in ("False match", "False non-match")] == ["fail", "fail"]


def test_a_model_that_was_measured_on_enough_people_is_left_to_counsel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FACE_MODELS, PROVEN.id, PROVEN)
    found = facts(FACE, live())
    assert [line(found, fact).verdict for fact in ("False match", "False non-match")] == ["needs counsel"] * 2


def test_wrongful_refusals_are_at_most_what_threshold_and_crowd_allow() -> None:
    seen = traffic(day_of_faces())
    rate = FACE_MODELS["synthetic/1"].curve[0].false_match / 10**12
    assert (seen.faces, seen.newcomers, seen.refused_as_known) == (4, 3, 1)
    assert seen.wrongful == pytest.approx((0 + 1 + 2 + 3) * rate)


def test_one_request_wrongs_one_person_at_most_however_large_the_crowd() -> None:
    assert traffic(among(10**9)).wrongful == 4


def test_answer_of_a_model_that_is_unknown_counts_as_wrongful() -> None:
    unknown = [structs.replace(each, model="other/1") for each in among(1)]
    assert traffic(unknown).wrongful == 4


def test_a_repeated_answer_counts_no_more() -> None:
    [first] = [outcome for outcome in day_of_faces() if isinstance(outcome, Answered)][:1]
    again = structs.replace(first, repeated=True, identity=None)
    assert traffic([first, again]).faces == 1


def test_wrongful_refusals_are_never_more_than_the_refusals() -> None:
    found = line(facts(FACE, live(outcomes=day_of_faces())), "Expected wrongful")
    assert found.found.startswith(
        "at most 2.4e-06, in 20 s of records, which is no day yet: 4 requests by face, up to 3 templates alive;"
    )
    found = line(facts(FACE, live(outcomes=among(10**9))), "Expected wrongful")
    assert found.found.startswith("at most 1, ")
    assert found.found.endswith("by the false match rate at most 4; refused as known: 1")


def test_wrongful_refusals_pass_only_if_they_are_few_and_the_rate_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    by_dlib = [structs.replace(each, model=PROVEN.id, threshold=380) for each in among(1)]
    few = facts(FACE, live(outcomes=by_dlib))
    many = facts(FACE, live(outcomes=[structs.replace(each, crowd=10**6) for each in by_dlib]))
    assert [line(found, "Expected wrongful").verdict for found in (few, many)] == ["fail", "fail"]
    monkeypatch.setitem(FACE_MODELS, PROVEN.id, PROVEN)
    few = facts(FACE, live(outcomes=by_dlib))
    assert [line(found, "Expected wrongful").verdict for found in (few, many)] == ["pass", "fail"]


def test_a_day_without_faces_proves_nothing() -> None:
    assert line(facts(FACE, live()), "Expected wrongful").verdict == "not checked"


# -- how long -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("oldest_s", "verdict"), [(540.0, "pass"), (541.0, "fail")])
def test_a_template_that_is_older_than_the_window_fails(oldest_s: float, verdict: str) -> None:
    outcome = counted(templates=1, oldest_s=oldest_s)
    assert line(facts(FACE, live(outcomes=[outcome])), "Templates alive").verdict == verdict


def test_a_count_of_a_minute_ago_says_nothing_of_now() -> None:
    found = facts(FACE, live(outcomes=[counted(at=START - 61_000)]))
    assert [line(found, fact).verdict for fact in ("Templates alive", "Age of")] == ["not checked"] * 2


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (seal(), "pass"),
        (seal(oldest=MINUTE - 11), "fail"),
        (seal("button", oldest=MINUTE), "fail"),
        (seal(oldest=None), "fail"),
        (seal("held", oldest=None), "pass"),
        (Seal(at=START, site=None), "not checked"),
        (None, "not checked"),
    ],
)
def test_a_seal_chain_holds_the_window_and_no_more(found: Seal | None, verdict: str) -> None:
    assert line(facts(FACE, structs.replace(live(), seal=found)), "Since when sealed").verdict == verdict


def test_a_hold_passes_with_a_receipt_and_without_keys() -> None:
    receipt = Held(site="park", offset=1, at=START, templates=3, accounts=4, oldest_s=20, why="a test")
    held = structs.replace(live(), control=control("held"), receipts=[receipt], seal=seal("held", None, 1))
    assert line(facts(FACE, held), "Keys are destroyed").verdict == "pass"
    assert line(facts(FACE, held), "How the site works now").verdict == "pass"
    for wrong in (structs.replace(held, receipts=[]), structs.replace(held, seal=seal())):
        assert line(facts(FACE, wrong), "Keys are destroyed").verdict == "fail"


def test_a_site_that_is_not_held_shows_nothing_of_a_hold() -> None:
    assert line(facts(FACE, live()), "Keys are destroyed").verdict == "not checked"


def test_a_topic_that_keeps_longer_than_it_should_fails_and_says_so() -> None:
    seen = live()
    topics = [(t, found | ({"retention.ms": "-1"} if t.name == TOPICS.events else {})) for t, found in seen.topics]
    found = facts(FACE, structs.replace(seen, topics=topics))
    assert line(found, f"Kafka keeps {TOPICS.events}").verdict == "fail"
    assert line(found, f"Kafka keeps {TOPICS.events}").why == "retention.ms is -1, not 4140000"
    assert line(found, f"Kafka keeps {TOPICS.decisions}").verdict == "pass"


@pytest.mark.parametrize(("age_s", "verdict"), [(86_400.0, "pass"), (90_000.0, "fail")])
def test_an_epoch_that_does_not_end_fails(age_s: float, verdict: str) -> None:
    seen = live(outcomes=[counted(epoch=3, epoch_age_s=age_s)])
    assert line(facts(FACE, seen), "Age of the templates' key").verdict == verdict


# -- what there is instead, and whether it runs so ----------------------------------------------------


def test_a_button_that_was_refused_is_a_question_for_counsel() -> None:
    story = Story(Policy(portion_cm=60, button_budget_cm=60))
    story.button()
    served = [outcome for decision in story.decisions for outcome in decision.outcomes]
    story.button()
    refused = [outcome for decision in story.decisions for outcome in decision.outcomes]
    assert line(facts(FACE, live(outcomes=served)), "Who was served without").verdict == "pass"
    assert line(facts(FACE, live(outcomes=refused)), "Who was served without").verdict == "needs counsel"


def test_a_pipeline_that_works_otherwise_than_the_file_says_fails() -> None:
    other = structs.replace(live(), control=control("face", structs.replace(FACE, policy=Policy(window_s=3_600))))
    found = line(facts(FACE, other), "How the site works now")
    assert (found.verdict, found.why) == ("fail", "differs from the sites file: policy, window_s")
    assert line(facts(FACE, structs.replace(live(), control=None)), "How the site works now").verdict == "fail"


def test_a_dispenser_that_looks_at_faces_of_a_held_site_fails() -> None:
    looking = structs.replace(live(), control=control("held"))
    assert line(facts(FACE, looking), "Dispensers in face").verdict == "fail"
    assert line(facts(FACE, live()), "Dispensers in face").verdict == "pass"


def test_a_dispenser_of_another_maker_is_not_vouched_for() -> None:
    other = structs.replace(live(), states={"gate": DeviceState(online=True, firmware="acme-2", mode="face")})
    assert line(facts(FACE, other), "Pictures").verdict == "needs counsel"
    assert line(facts(FACE, live()), "Pictures").verdict == "pass"


# -- how it is written --------------------------------------------------------------------------------


def test_both_forms_say_the_same_lines_and_that_they_are_no_legal_advice() -> None:
    found = facts(FACE, live(outcomes=day_of_faces()))
    text, page = markdown(found, sections(found)), html(found, sections(found))
    assert "**This is no legal advice.**" in text
    assert "<strong>This is no legal advice.</strong>" in page
    assert page.count("<tr>") == sum(row.startswith("|") and not row.startswith("| ---") for row in text.splitlines())
    assert page.count('class="fail"') == 1 + count(sections(found))["fail"]


def test_what_an_operator_writes_stays_text() -> None:
    found = facts(structs.replace(FACE, sign="<script>x</script> | **no** [a](b) `c`"))
    page = html(found, sections(found))
    assert "<script" not in page
    assert "<td>&lt;script&gt;x&lt;/script&gt; | **no** [a](b) `c`</td>" in page


def test_a_page_needs_nothing_else() -> None:
    page = html(facts(), sections(facts()))
    assert not any(word in page for word in ("http:", "https:", "src=", "@import", "<script"))


def test_what_was_measured_is_what_the_documents_say() -> None:
    root = Path(__file__).parents[3]
    study, readme = (root / "docs/template-evaluation.md").read_text(), (root / "README.md").read_text()
    dlib = MEASURED["dlib-resnet/1"]
    assert f"({dlib.pairs:,} pairs)" in study
    assert f"{dlib.non_matches} of {dlib.mated:,}" in readme
    for name, measured in MEASURED.items():
        assert (
            f"| `{name}`, {FACE_MODELS[name].dimensions} numbers | {measured.rebuilt:.2f}".replace("0.", ".") in study
        )
        for linked in (measured.linked_sites, measured.linked_epochs):
            assert f"| {linked:.3f} | 0.0" in study
