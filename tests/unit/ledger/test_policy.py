import re
from pathlib import Path

import msgspec
import pytest

from models.errors import ConfigError
from models.ledger.rules.policy import GiveBack, Policy, parse_sites

PARK = '[sites.park]\ndevices = ["gate", "door"]\n'


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as error:
        parse_sites(text, "sites.toml")
    return str(error.value)


def test_a_site_needs_only_its_devices_and_then_looks_at_no_face() -> None:
    park = parse_sites(PARK, "sites.toml").sites["park"]
    assert park.devices == ("gate", "door")
    assert (park.mode, park.placement, park.simulated, park.policy) == ("button", "entrance", False, Policy())


def test_only_listed_devices_are_known() -> None:
    sites = parse_sites(PARK, "sites.toml")
    assert sites.knows("park", "gate")
    assert not sites.knows("park", "window")
    assert not sites.knows("gate", "gate")


def test_the_longest_window_is_that_of_any_site() -> None:
    text = PARK + "[sites.park.policy]\nwindow_s = 60\n[sites.hall]\ndevices = []\npolicy.window_s = 3600"
    assert parse_sites(text, "sites.toml").longest_window_s == 3600
    assert parse_sites("[sites]", "sites.toml").longest_window_s == 60


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "sites"),
        ("[sites]\nsites = = 1", "line 2"),
        ("[sites.park]", "$.sites.park"),
        ('[sites.Park]\ndevices = ["gate"]', "$.sites"),
        ('[sites."park\\n"]\ndevices = ["gate"]', "$.sites"),
        ('[sites.park]\ndevices = ["gate", "the door"]', "$.sites.park.devices[1]"),
        (PARK + 'mode = "held"', "$.sites.park.mode"),
        (PARK + "modes = 1", "modes"),
        (PARK + "[sites.park.policy]\nportion = 60", "portion"),
        (PARK + "[sites.park.policy]\nportion_cm = 0", "$.sites.park.policy.portion_cm"),
        (PARK + '[sites.park.policy]\nportion_cm = "60"', "$.sites.park.policy.portion_cm"),
        (PARK + "[sites.park.policy]\nwindow_s = 59", "$.sites.park.policy.window_s"),
        (PARK + "[sites.park.policy]\nwindow_s = 86401", "$.sites.park.policy.window_s"),
        (PARK + "[sites.park.policy]\nwindow_s = nan", "$.sites.park.policy.window_s"),
    ],
)
def test_an_error_names_the_file_and_the_place(text: str, place: str) -> None:
    error = refused(text)
    assert error.startswith("sites.toml: ")
    assert place in error


def test_no_camera_may_look_inside_a_restroom() -> None:
    error = refused(PARK + 'placement = "inside"\nmode = "face"')
    assert 'placement = "inside" forbids mode = "face"' in error
    assert error.startswith("sites.toml: ")
    assert parse_sites(PARK + 'placement = "inside"', "sites.toml").sites["park"].mode == "button"


def test_where_children_are_expected_no_face_is_looked_at() -> None:
    error = refused(PARK + 'minors = true\nmode = "face"')
    assert 'minors = true forbids mode = "face": under 14 a guardian would have to consent' in error
    assert error.startswith("sites.toml: ")
    assert parse_sites(PARK + "minors = true", "sites.toml").sites["park"].mode == "button"


@pytest.mark.parametrize("sign", ["two\\nlines", "\\u001b[2J", "x" * 1001])
def test_a_sign_is_one_paragraph_of_bounded_length(sign: str) -> None:
    assert "$.sites.park.sign" in refused(PARK + f'sign = "{sign}"')


def test_the_template_of_a_file_of_sites_is_one_and_its_sign_shows_its_window() -> None:
    template = Path(__file__).parents[3] / "docs/site-template.toml"
    sites = parse_sites(template.read_text(), str(template)).sites
    assert {(spec.mode, spec.placement, spec.minors) for spec in sites.values()} == {
        ("face", "entrance", False),
        ("button", "inside", False),
        ("button", "entrance", True),
    }
    entrance = sites["park-entrance"]
    for text in ("camera", f"{entrance.policy.window_s // 60} minutes", "BUTTON", "FORGET", "Responsible"):
        assert text in entrance.sign


@pytest.mark.parametrize("rule", ["placement", "minors"])
def test_the_template_s_rules_are_those_of_the_code(rule: str) -> None:
    template = Path(__file__).parents[3] / "docs/site-template.toml"
    sites = template.read_text().rpartition("[sites.park-inside]" if rule == "placement" else "[sites.school]")
    assert f"{rule} = " in refused("".join(sites[1:]).replace('mode = "button"', 'mode = "face"', 1))


@pytest.mark.parametrize("limit", ["limit_cm", "button_budget_cm", "dispenser_limit_cm", "ration_budget_cm"])
def test_a_limit_below_a_portion_is_refused_since_nobody_would_be_served(limit: str) -> None:
    assert f"{limit} is below portion_cm" in refused(PARK + f"[sites.park.policy]\n{limit} = 59")
    with pytest.raises(ValueError, match=limit):
        msgspec.convert({limit: 59}, Policy)
    assert msgspec.convert({limit: 60}, Policy)


def test_a_limit_above_what_one_visitor_is_ever_granted_is_refused() -> None:
    assert "limit_cm is above 64 portions" in refused(PARK + "[sites.park.policy]\nportion_cm = 10\nlimit_cm = 641")
    assert msgspec.convert({"portion_cm": 10, "limit_cm": 640}, Policy)


def test_a_policy_s_version_changes_with_every_number_and_with_nothing_else() -> None:
    numbers = [{name: 3_661} for name in Policy.__struct_fields__ if name not in ("portion_cm", "give_back")]
    waits = [{"give_back": {name: 61}} for name in GiveBack.__struct_fields__]
    versions = [Policy().version, *(msgspec.convert(changed, Policy).version for changed in numbers + waits)]
    assert len(set(versions)) == len(versions)
    assert Policy().version == Policy(portion_cm=60).version
    assert re.fullmatch("[0-9a-f]{12}", Policy().version)
