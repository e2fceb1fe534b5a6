"""The changes by a sites file, and those that need --remove."""

from infra.sites.changes import Change, compare, kept, without_removals
from models.ledger.events import SiteConfigured, SiteRemoved
from models.ledger.rules.policy import GiveBack, Policy, Sites, SiteSpec

PARK = SiteSpec(devices=("gate", "door"), mode="face")
LAKE = SiteSpec(devices=("pier",))


def sites(**specs: SiteSpec) -> Sites:
    return Sites(sites=dict(specs))


def test_the_same_file_changes_nothing_and_neither_does_another_order_of_dispensers() -> None:
    assert compare(sites(park=PARK, lake=LAKE), sites(lake=LAKE, park=PARK)) == []
    assert compare(sites(park=PARK), sites(park=SiteSpec(devices=("door", "gate"), mode="face"))) == []


def test_what_is_added_changed_and_removed_is_listed_by_name() -> None:
    policy = Policy(limit_cm=120, give_back=GiveBack(jam_s=9))
    differences = "mode 'face' -> 'button', policy.limit_cm 60 -> 120, policy.give_back.jam_s 0 -> 9, + shed, - door"
    changed = SiteSpec(devices=("gate", "shed"), mode="button", policy=policy)
    listed = [str(change) for change in compare(sites(park=PARK, lake=LAKE), sites(park=changed, moon=LAKE))]
    assert listed == [
        "lake: removed, with 1 dispensers",
        f"moon: added: button, policy {LAKE.policy.version}, 1 dispensers",
        f"park: changed: {differences}",
    ]


def test_without_removals_every_site_and_dispenser_stays() -> None:
    wanted = SiteSpec(devices=("gate", "shed"), mode="button")
    found = compare(sites(park=PARK, lake=LAKE), sites(park=wanted))
    [change] = without_removals(found)
    assert change.after
    assert (change.after.mode, set(change.after.devices)) == ("button", {"gate", "shed", "door"})
    assert kept(found) == ["lake", "park/door"]


def test_a_removal_alone_is_no_change_without_removals() -> None:
    found = compare(sites(park=PARK, lake=LAKE), sites(park=SiteSpec(devices=("gate",), mode="face")))
    assert without_removals(found) == []
    assert kept(found) == ["lake", "park/door"]


def test_a_change_is_an_event_with_all_that_the_file_states() -> None:
    spec = SiteSpec(devices=("gate",), mode="face", sign="Ask us.", simulated=True)
    assert Change("park", None, spec).order() == SiteConfigured(
        site="park", devices=("gate",), mode="face", sign="Ask us.", simulated=True, policy=spec.policy
    )
    assert Change("park", spec, None).order("closed", "ops") == SiteRemoved(site="park", why="closed", by="ops")
