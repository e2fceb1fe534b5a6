from models.contract.face_models import FACE_MODELS
from models.contract.messages import (
    Battery,
    Control,
    Declined,
    Dispense,
    Dispensed,
    FaceSeen,
    LocalRation,
    Refuse,
    Revision,
    Stock,
)
from models.ledger.events import Requested
from models.ledger.outcomes import Answered, ControlChanged, ReportKept, SiteCounted, SiteRegistered
from models.ledger.rows import PARTITION_KEY, DispenserAccount, VisitorAccount, visitor_key
from models.ledger.rules.bounds import ENTRIES_PER_ROW
from models.ledger.rules.policy import Policy, SiteSpec
from tests.support.story import MODEL, RESERVED, SITE, START, TEMPLATE_BITS, Story, template

DOUBT = TEMPLATE_BITS - FACE_MODELS[MODEL].doubt
SAME = TEMPLATE_BITS - FACE_MODELS[MODEL].least_threshold


def test_first_request_is_granted_a_portion() -> None:
    answered = Story().face("ann")
    assert answered.command == Dispense(request="request-0000000001", cm=60)
    assert answered.identity == "new"


def test_second_request_within_nine_minutes_is_refused_with_the_time_to_wait() -> None:
    story = Story()
    first = story.face("ann")
    story.wait(100)
    second = story.face("ann")
    assert second.command == Refuse(request="request-0000000002", reason="quota", retry_after_s=440)
    assert second.visitor == first.visitor


def test_request_at_the_end_of_the_wait_is_granted() -> None:
    story = Story()
    story.face("ann")
    story.wait(540)
    assert isinstance(story.face("ann").command, Dispense)


def test_a_refusal_does_not_prolong_the_wait_or_the_template() -> None:
    story = Story()
    story.face("ann")
    story.wait(500)
    story.face("ann")
    story.wait(40)
    [counted] = story.tick().outcomes
    assert isinstance(counted, SiteCounted)
    assert (counted.templates, counted.accounts) == (0, 1)


def test_two_people_do_not_share_a_quota() -> None:
    story = Story()
    story.face("ann")
    assert isinstance(story.face("bob").command, Dispense)


def test_someone_between_the_thresholds_is_served_and_counted_as_doubt() -> None:
    story = Story()
    ann = story.face("ann")
    doubtful = story.face("ann", flipped=SAME + 1)
    assert (doubtful.identity, doubtful.score) == ("doubt", TEMPLATE_BITS - SAME - 1)
    assert isinstance(doubtful.command, Dispense)
    assert doubtful.visitor != ann.visitor


def test_thresholds_are_inclusive() -> None:
    story = Story()
    story.face("ann")
    assert story.face("ann", flipped=SAME).identity == "same"
    assert story.face("ann", flipped=DOUBT).identity == "doubt"
    assert Story().face("ann", flipped=DOUBT + 1).identity == "new"


def test_templates_of_another_model_are_never_compared() -> None:
    story = Story()
    story.face("ann")
    face = FaceSeen(id=story.next_id(), model="dlib-resnet/1", template=template("ann"))
    assert story.answered(face).identity == "new"


def test_an_unreadable_template_is_served_by_the_button_rule() -> None:
    story = Story()
    for face in (
        FaceSeen(id="unreadable-000001", model=MODEL, template=None),
        FaceSeen(id="unreadable-000002", model="tomorrow/9", template=template("ann")),
    ):
        answered = story.answered(face)
        assert isinstance(answered.command, Dispense)
        assert answered.identity == "unreadable"


def test_a_site_in_button_mode_keeps_no_template() -> None:
    story = Story(mode="button")
    for _ in range(2):
        answered = story.face("ann")
        assert isinstance(answered.command, Dispense)
        assert answered.identity is None
    assert not any(isinstance(a, VisitorAccount) for a in story.partition.sites[SITE].accounts.values())


def test_a_site_that_nobody_configured_looks_at_no_face() -> None:
    story = Story()
    face = FaceSeen(id="elsewhere-0000001", model=MODEL, template=template("ann"))
    decision = story.happens(Requested(site="elsewhere", device="gate", request=face))
    assert decision.key.startswith("dispenser/elsewhere/")


def test_button_is_served_without_a_wait_until_the_budget_is_spent() -> None:
    story = Story(Policy(give_back=RESERVED, button_budget_cm=120))
    assert isinstance(story.button().command, Dispense)
    story.wait(10)
    assert isinstance(story.button().command, Dispense)
    refused = story.button().command
    assert isinstance(refused, Refuse)
    assert (refused.reason, refused.retry_after_s) == ("button_budget", 530)
    assert isinstance(story.button("door").command, Dispense)


def test_staff_is_always_served_and_spends_no_budget() -> None:
    story = Story(Policy(give_back=RESERVED, button_budget_cm=60, dispenser_limit_cm=60))
    for _ in range(3):
        assert isinstance(story.staff().command, Dispense)
    assert isinstance(story.button().command, Dispense)


def test_a_row_of_strangers_stops_at_the_dispensers_limit() -> None:
    story = Story(Policy(give_back=RESERVED, dispenser_limit_cm=120))
    story.face("ann")
    story.face("bob")
    refused = story.face("cid").command
    assert isinstance(refused, Refuse)
    assert refused.reason == "dispenser_limit"


def test_a_repeated_request_gets_the_same_answer_and_is_not_charged() -> None:
    story = Story(Policy(give_back=RESERVED, limit_cm=120))
    first = story.face("ann", request="repeated-0000001")
    again = story.face("ann", request="repeated-0000001")
    assert again.command == first.command
    assert again.repeated
    assert story.decisions[-1].key == PARTITION_KEY
    assert isinstance(story.face("ann").command, Dispense)


def test_the_same_request_id_of_another_dispenser_is_another_request() -> None:
    story = Story()
    story.face("ann", request="shared-id-000001")
    assert not story.face("bob", request="shared-id-000001", device="door").repeated


def test_a_jam_gives_back_what_was_not_dispensed() -> None:
    story = Story()
    granted = story.face("ann").command
    assert isinstance(granted, Dispense)
    story.report(Dispensed(number=1, request=granted.request, cm=0, fault="jam"))
    assert isinstance(story.face("ann").command, Dispense)


def test_a_command_that_was_declined_is_given_back() -> None:
    story = Story()
    granted = story.face("ann").command
    assert isinstance(granted, Dispense)
    story.report(Declined(number=1, request=granted.request, reason="late"))
    assert isinstance(story.face("ann").command, Dispense)


def test_reports_settle_once_in_any_order() -> None:
    for order in ((0, 1, 0), (1, 0, 1)):
        story = Story()
        granted = story.face("ann").command
        assert isinstance(granted, Dispense)
        reports = (
            Declined(number=2, request=granted.request, reason="closed"),
            LocalRation(number=1, request=granted.request, cm=60),
        )
        kept = [story.report(reports[i]).outcomes[0] for i in order]
        assert sum(outcome.cm for outcome in kept if isinstance(outcome, ReportKept)) == 60
        assert isinstance(story.face("ann").command, Refuse)


def test_a_local_ration_for_an_unknown_request_counts_once_against_the_dispenser() -> None:
    story = Story(Policy(give_back=RESERVED, button_budget_cm=120))
    ration = LocalRation(number=7, request="never-arrived-001", cm=60)
    kept = [outcome for _ in range(2) for outcome in story.report(ration).outcomes]
    assert [outcome.cm for outcome in kept if isinstance(outcome, ReportKept)] == [60, 0]
    assert isinstance(story.button().command, Dispense)
    assert isinstance(story.button().command, Refuse)


def test_a_report_older_than_a_window_is_kept_and_changes_no_account() -> None:
    story = Story(Policy(give_back=RESERVED, button_budget_cm=60))
    decision = story.report(LocalRation(number=7, request="long-ago-00000001", cm=60, ago_ms=541_000))
    assert isinstance(decision.row, DispenserAccount)
    assert (decision.row.entries, decision.row.numbering.beyond) == ((), (7,))
    assert isinstance(story.button().command, Dispense)


def test_measurements_are_kept_for_the_metrics() -> None:
    story = Story()
    [stock] = story.report(Stock(number=1, cm=12_000)).outcomes
    [battery] = story.report(Battery(number=2, percent=80)).outcomes
    assert isinstance(stock, ReportKept)
    assert isinstance(battery, ReportKept)
    assert (stock.stock_cm, stock.what, battery.battery_percent, battery.what) == (12_000, "stock", 80, "battery")


def test_a_busy_dispenser_spreads_over_capped_rows() -> None:
    story = Story()
    for _ in range(3 * ENTRIES_PER_ROW):
        story.staff()
    accounts = story.partition.sites[SITE].accounts
    assert sorted(len(account.entries) for account in accounts.values()) == [ENTRIES_PER_ROW] * 3


def test_a_tick_erases_what_has_expired_at_an_idle_site() -> None:
    story = Story()
    visitor = story.face("ann").visitor
    story.button()
    story.wait(539.9)
    assert story.tick().removed == ()
    story.wait(0.1)
    assert set(story.tick().removed) == {visitor_key(SITE, str(visitor)), f"dispenser/{SITE}/gate/0"}
    assert not story.partition.sites[SITE].accounts


def test_configuring_a_site_shows_its_dispensers() -> None:
    policy = Policy(portion_cm=50)
    changed, registered = Story().configure(policy, "button").outcomes
    assert isinstance(changed, ControlChanged)
    assert isinstance(registered, SiteRegistered)
    assert registered.registered
    assert registered.registered.spec == SiteSpec(devices=(), mode="button", policy=policy)
    assert changed.control == Control(
        site=SITE,
        mode="button",
        revision=Revision(START, 1),
        policy=policy.version,
        epoch=0,
        ration_cm=50,
        ration_budget_cm=6000,
        window_s=540,
    )


def test_a_longer_window_does_not_bring_back_what_had_stopped_counting() -> None:
    story = Story(Policy(give_back=RESERVED, window_s=60))
    story.face("ann")
    story.wait(61)
    story.configure(Policy(give_back=RESERVED, window_s=3600))
    assert story.face("ann").identity == "new"


def test_a_clock_that_goes_back_a_little_does_not_move_the_partition_back() -> None:
    story = Story()
    story.face("ann")
    story.wait(-60)
    refused = story.face("ann").command
    assert isinstance(refused, Refuse)
    assert refused.retry_after_s == 540


def test_a_redelivered_event_is_answered_from_the_ledger_and_writes_nothing() -> None:
    story = Story()
    first = story.face("ann")
    again = story.partition.fold(story.records[-1])
    assert again.row is None
    [outcome] = again.outcomes
    assert isinstance(outcome, Answered)
    assert outcome.command == first.command
