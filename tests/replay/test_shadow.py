"""A shadow without a pipeline: the points of closed periods, and what they leave out."""

import re
from collections.abc import Iterable

import pytest
from msgspec import structs

from models.errors import ConfigError
from models.ledger.rules.policy import Policies, Policy, parse_sites
from models.replay.recording import RecordedEvent
from models.replay.what_if import Trial
from models.settings import Settings
from stream_processors.replay.shadow import Shadow, check_windows, policy_of
from tests.experiments.replay_proof.recorded import recorded_events, recording
from tests.support.story import RESERVED, SECRET, SITE, START, Story

PERIOD_S, K = 60, 3
PAIR = re.compile(r"shadow,site=park,live=(\w+),tried=(\w+) n=(\d+)i,\S+ \d+")
SETTINGS = Settings(metrics_period_s=PERIOD_S, metrics_k=K)


def policy(**changes: int) -> Policy:
    return structs.replace(Policy(give_back=RESERVED), **changes)


def smaller(**changes: int) -> Trial:
    return Trial(policies=Policies(others=policy(**changes)), is_live=True)


def received(found: Iterable[RecordedEvent], trial: Trial, since: int = 0) -> tuple[Shadow, list[str]]:
    shadow = Shadow(SETTINGS, structs.replace(recording(), since=since), SECRET, trial)
    return shadow, [line for recorded in found for line in shadow.take(recorded)]


def pairs(lines: Iterable[str]) -> list[tuple[str, str, int]]:
    found = [PAIR.fullmatch(line) for line in lines if line.startswith("shadow,") and "live=" in line]
    assert all(found)
    return sorted((match[1], match[2], int(match[3])) for match in found if match)


def a_minute(twice: int, once: int) -> Story:
    """So many people come twice within a period, and so many once; then time moves on."""
    story = Story(policy(limit_cm=120))
    story.wait(PERIOD_S)
    for number in range(twice):
        story.face(f"{number}")
        story.face(f"{number}")
    for number in range(once):
        story.face(f"other {number}")
    story.wait(PERIOD_S)
    story.tick()
    return story


def test_pairs_of_answers_are_counted_by_closed_period() -> None:
    found = recorded_events(a_minute(twice=4, once=3).records)
    _, lines = received(found, smaller(limit_cm=60))
    assert pairs(lines) == [("dispense", "dispense", 7), ("dispense", "quota", 4)]
    _, before = received(found[:-1], smaller(limit_cm=60))
    assert pairs(before) == []


def test_a_pair_of_fewer_than_k_is_only_a_number_of_its_site() -> None:
    shadow, lines = received(recorded_events(a_minute(twice=K - 1, once=3).records), smaller(limit_cm=60))
    assert pairs(lines) == [("dispense", "dispense", 5)]
    assert shadow.total.changed == K - 1
    [left_out] = [line for line in lines if line.startswith("shadow,site=park suppressed")]
    assert left_out.startswith(f"shadow,site=park suppressed={K - 1}i ")


def test_a_pair_shows_both_sides_of_the_same_requests() -> None:
    _, lines = received(recorded_events(a_minute(twice=4, once=3).records), smaller(limit_cm=60))
    told_of = [line.split(" ")[1] for line in lines if line.startswith("shadow,site=park,live=")]
    assert told_of == [
        sums(7, live=(7, 0, 420), tried=(7, 0, 420)),
        sums(4, live=(4, 0, 240), tried=(0, 4, 0)),
    ]


def sums(n: int, **sides: tuple[int, int, int]) -> str:
    received = [f"{side}_granted={a}i,{side}_refused={b}i,{side}_cm={c}i" for side, (a, b, c) in sides.items()]
    return ",".join([f"n={n}i,unanswerable=0i", *received])


def test_answers_on_trial_are_reported_as_the_sink_shows_live_ones() -> None:
    _, lines = received(recorded_events(a_minute(twice=4, once=3).records), smaller(limit_cm=60))
    [requests] = [line for line in lines if line.startswith("requests,") and " n=0i" not in line]
    assert requests.startswith("requests,site=park n=11i,suppressed=0i")
    answers = {line.rpartition(" ")[0] for line in lines if line.startswith("answers,")}
    assert answers == {
        "answers,site=park,by=face,outcome=dispense n=7i,cm=420i",
        "answers,site=park,by=face,outcome=refuse,reason=quota n=4i,cm=0i",
    }


def test_what_happened_before_counts_and_is_not_reported() -> None:
    story = Story(policy(limit_cm=120))
    for number in range(K):
        story.face(f"{number}")
    story.wait(PERIOD_S)
    for number in range(K):
        story.face(f"{number}")
    story.wait(PERIOD_S)
    story.tick()
    shadow, lines = received(recorded_events(story.records), smaller(limit_cm=60), since=START + 1_000)
    assert pairs(lines) == [("dispense", "quota", K)]
    assert shadow.total.answers == K


def test_the_policy_of_now_has_no_pair_of_two_words() -> None:
    shadow, lines = received(recorded_events(a_minute(twice=5, once=5).records), Trial(is_live=True))
    assert pairs(lines) == [("dispense", "dispense", 15)]
    assert shadow.total.changed == 0


def test_templates_are_gone_when_the_window_of_the_site_ends() -> None:
    story = a_minute(twice=1, once=1)
    shadow, _ = received(recorded_events(story.records), smaller(limit_cm=60, window_s=3_600))
    assert shadow.holds_templates(0)
    story.wait(600)
    story.tick()
    shadow, _ = received(recorded_events(story.records), smaller(limit_cm=60, window_s=3_600))
    assert not shadow.holds_templates(0)


def test_a_window_that_is_longer_than_the_sites_is_refused() -> None:
    sites = parse_sites(f'[sites.{SITE}]\ndevices = ["gate"]\n', "sites.toml")
    check_windows(smaller(window_s=540), sites)
    with pytest.raises(ConfigError, match="window_s = 541 for park"):
        check_windows(smaller(window_s=541), sites)


def test_a_shadow_has_a_retention_policy_beside_the_metrics() -> None:
    assert (policy_of(""), policy_of("spring")) == ("shadow", "shadow-spring")
