"""A trial policy on a real pipeline: on a recording, and as a shadow of the running stream."""

import asyncio
import csv
import io
import json
import re
import shlex
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp
import pytest
import pytest_asyncio

from infra.influxql import query
from models.contract.messages import ButtonPressed, Dispensed, FaceSeen
from models.ledger.events import Reported, Requested
from models.settings import Settings
from tests.experiments.replay_proof.stage import decide, stage
from tests.support.processes import FAIRROLL, beside, environ_of, everything_published, fairroll
from tests.support.story import template

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

PEOPLE = 20
PAGE = Path(__file__).parents[2] / "docs" / "what-if.md"
SMALLER = "[policy]\nlimit_cm = 60\nbutton_budget_cm = 100000\ndispenser_limit_cm = 100000\n"
_WITHIN_S = 120.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pipeline(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    """A limit of 120 cm, two portions; periods of two seconds that tell of everybody."""
    folder = tmp_path_factory.mktemp("trial")
    environ = {"FAIRROLL_METRICS_PERIOD_S": "2", "FAIRROLL_METRICS_K": "1"}
    async with stage(folder, "influxd", "gateway", "sink", policy="limit_cm = 120\n", **environ) as stack:
        yield stack.settings


def visits(*rounds: str) -> Iterator[Requested | Reported]:
    """In each round everybody asks once at the park, and gets what is granted; one asks by button."""
    for one in rounds:
        day, _, _ = one.partition("-")
        for number in range(PEOPLE):
            request, seen = f"request-{one}-{number:06}", template(f"{number} of {day}")
            face = FaceSeen(id=request, model="dlib-resnet/1", template=seen)
            yield Requested(site="park", device="d1", request=face)
            yield Reported(site="park", device="d1", report=Dispensed(number=number + 1, request=request, cm=60))
        yield Requested(site="park", device="d2", request=ButtonPressed(id=f"request-{one}-button"))


def rows(text: str) -> dict[str, int]:
    """All rows of a sheet together."""
    table = list(csv.DictReader(io.StringIO(text)))
    names = [name for name in table[0] if name not in ("site", "hour")]
    return {name: sum(int(row[name]) for row in table if row["site"] == "park") for name in names}


@asynccontextmanager
async def following(settings: Settings, policy: Path, run: str, printed: list[str]) -> AsyncIterator[None]:
    """A shadow of its own; `printed` receives its last line."""
    command = (*FAIRROLL, "replay", "--live", "--policy", str(policy), "--run", run)
    async with beside(*command, env=environ_of(settings), stderr=asyncio.subprocess.PIPE) as process:
        assert process.stdout
        ready = await asyncio.wait_for(process.stdout.readline(), _WITHIN_S)
        assert ready.startswith(b"ready: "), ready
        yield
        process.send_signal(signal.SIGTERM)
        out, err = await asyncio.wait_for(process.communicate(), _WITHIN_S)
        assert process.returncode == 0, err.decode()
        printed.append(out.decode().strip())


async def until_reported(settings: Settings, run: str, requests: int) -> None:
    async with asyncio.timeout(_WITHIN_S):
        while await total(settings, run, "requests") < requests:
            await asyncio.sleep(0.5)


async def total(settings: Settings, place: str, measurement: str, where: str = "") -> int:
    try:
        found = await query(settings, f'SELECT sum("n") AS n FROM "{place}"."{measurement}"{where}')
    except aiohttp.ClientError:  # nothing was written there yet
        return 0
    return sum(row["n"] for row in found)


async def test_a_smaller_limit_on_a_recording_refuses_every_second_visit(pipeline: Settings, tmp_path: Path) -> None:
    await decide(pipeline, visits("first-1", "first-2", "first-3"))
    archive, policy, picture = (tmp_path / name for name in ("day.jsonl.zst", "new.toml", "day.svg"))
    policy.write_text(SMALLER)
    recorded = await fairroll(pipeline, "record", str(archive), "--site", "park")
    assert recorded.code == 0, recorded.err
    for source, from_templates in (("kafka", 3 * PEOPLE), (str(archive), 0)):
        ran = await fairroll(pipeline, "replay", source, "--policy", str(policy), "--csv", "--site", "park")
        assert ran.code == 0, ran.err
        output = rows(ran.out)
        assert output["answers"] == 3 * PEOPLE + 3
        assert (output["from_templates"], output["without_face"]) == (from_templates, 3)
        assert output["not_answerable"] == 3 * PEOPLE - from_templates
        changed = from_templates // 3
        assert (output["changed"], output["granted_more"], output["refused_more"]) == (changed, 0, changed)
        assert (output["cm_recorded"], output["cm_trial"]) == (60 * (2 * changed + 3), 60 * (changed + 3))
        assert (output["refused_recorded"], output["refused_trial"]) == (changed, 2 * changed)
    shown = await fairroll(pipeline, "replay", "kafka", "--policy", str(policy), "--json", "--picture", str(picture))
    assert sum(json.loads(line)["changed"] for line in shown.out.splitlines()) == PEOPLE
    assert f"{3 * PEOPLE} from templates, 3 without a face, 0 not answerable" in " ".join(shown.err.split())
    assert f"0 more granted, {PEOPLE} more refused" in "".join(ET.parse(picture).getroot().itertext())  # noqa: S314 - ours


async def test_shadows_count_what_would_be_different_and_publish_nothing(pipeline: Settings, tmp_path: Path) -> None:
    await decide(pipeline, visits("second-1"))
    await asyncio.sleep(3)  # a period later, so that the first visit is only known from before
    smaller = tmp_path / "smaller.toml"
    smaller.write_text(SMALLER)
    printed: list[str] = []
    async with (
        everything_published(pipeline) as published,
        following(pipeline, pipeline.sites, "same", printed),
        following(pipeline, smaller, "smaller", printed),
    ):
        await decide(pipeline, visits("second-2", "second-3"))
        for run in ("shadow-same", "shadow-smaller"):
            await until_reported(pipeline, run, 2 * PEOPLE + 2)
    assert published == [b""]
    for line, changed in zip(printed, (PEOPLE, 0), strict=True):
        answers = f"{2 * PEOPLE + 2} answers compared with the trial: {changed} changed"
        assert line == f"{answers}, 0 granted more, {changed} refused more, 0 not answerable"
    different = " WHERE \"live\" = 'dispense' AND \"tried\" = 'quota'"
    assert await total(pipeline, "shadow-smaller", "shadow", different) == PEOPLE
    assert await total(pipeline, "shadow-same", "shadow", different) == 0
    assert await total(pipeline, "shadow-same", "shadow") == 2 * PEOPLE + 2
    granted = " WHERE \"outcome\" = 'dispense'"
    assert await total(pipeline, "shadow-same", "answers", granted) == PEOPLE + 2
    assert await total(pipeline, "shadow-smaller", "answers", granted) == 2


async def test_a_shadow_leaves_the_place_of_the_live_points_the_default(pipeline: Settings) -> None:
    policies: list[dict[str, Any]] = await query(pipeline, "SHOW RETENTION POLICIES")
    assert [policy["name"] for policy in policies if policy["default"]] == ["autogen"]
    assert {"shadow-same", "shadow-smaller"} <= {policy["name"] for policy in policies}


async def test_a_shadow_does_not_remember_longer_than_the_site(pipeline: Settings, tmp_path: Path) -> None:
    policy = tmp_path / "longer.toml"
    policy.write_text("[sites.park.policy]\nwindow_s = 86400\n")
    ran = await fairroll(pipeline, "replay", "--live", "--policy", str(policy))
    assert ran.code == 2
    assert "window_s = 86400 for park, which deletes templates after" in ran.err


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


async def test_the_commands_of_the_page_run(pipeline: Settings, tmp_path: Path) -> None:
    [policy] = blocks("toml")
    (tmp_path / "new.toml").write_text(policy)
    for command in "".join(blocks("sh")).splitlines():
        words = [str(tmp_path / word) if "." in word else word for word in shlex.split(command)[1:]]
        if "--live" in words:
            async with following(pipeline, tmp_path / "new.toml", "", []):
                pass
        else:
            ran = await fairroll(pipeline, *words)
            assert ran.code == 0, f"{command}: {ran.err}"
    assert (tmp_path / "day.svg").exists()
