"""What was erased after a range is not known again when the range is replayed."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.contract.messages import FaceSeen, ForgetRequested
from models.ledger.events import EpochEnded, Event, Requested, SiteConfigured, SiteHeld
from models.ledger.rules.policy import Policy
from models.replay.erasures import Erasures
from tests.experiments.replay_proof.stage import decide, stage
from tests.support.processes import fairroll
from tests.support.story import MODEL, SITE, template


def face(person: str, site: str = SITE, number: int = 0) -> Requested:
    request = FaceSeen(id=f"request-{site}-{person}-{number:08}", model=MODEL, template=template(person))
    return Requested(site=site, device="d1", request=request)


def forget(person: str, site: str = SITE) -> Requested:
    request = ForgetRequested(id=f"request-forget-{site}-{person}", model=MODEL, template=template(person, flipped=40))
    return Requested(site=site, device="d1", request=request)


def is_known(event: Event, *later: Event) -> bool:
    erasures = Erasures()
    for one in later:
        erasures.note(one)
    kept = erasures.apply(event)
    assert isinstance(kept, Requested)
    assert isinstance(kept.request, FaceSeen)
    return kept.request.template is not None


def test_whoever_asked_to_be_forgotten_later_has_no_template_any_more_and_others_do() -> None:
    assert not is_known(face("ann"), forget("ann"))
    assert is_known(face("bob"), forget("ann"))
    assert is_known(face("ann"), forget("ann", "elsewhere"))


@pytest.mark.parametrize(
    "later",
    [
        SiteHeld(site=SITE, why="a complaint"),
        EpochEnded(site=SITE, epoch=0),
        SiteConfigured(site=SITE, mode="button", policy=Policy()),
        SiteConfigured(site=SITE, mode="face", placement="inside", policy=Policy()),
    ],
    ids=["held", "new epoch", "buttons", "inside"],
)
def test_what_erased_a_site_later_leaves_none_of_its_templates(later: Event) -> None:
    assert not is_known(face("ann"), later)
    assert is_known(face("ann", "elsewhere"), later)


async def test_a_range_of_kafka_is_replayed_without_those_who_were_forgotten_after_it(tmp_path: Path) -> None:
    async with stage(tmp_path) as stack:
        settings = stack.settings
        sites = ("meadow-1", "meadow-2")
        await decide(settings, (face("ann", site, number) for site in sites for number in range(2)))
        await asyncio.sleep(0.1)
        until = datetime.now(UTC).isoformat()
        await decide(settings, [forget("ann", "meadow-1")])
        ran = await fairroll(settings, "replay", "kafka", "--until", until, "--json")
    assert ran.code == 0, ran.err
    rows = [json.loads(row) for row in ran.out.splitlines()]
    assert {(row["site"], row["outcome"], row["identity_source"], row["comparison"]) for row in rows} == {
        ("meadow-1", "dispense", "record", "equal"),
        ("meadow-1", "refuse", "record", "equal"),
        ("meadow-2", "dispense", "template", "equal"),
        ("meadow-2", "refuse", "template", "equal"),
    }
