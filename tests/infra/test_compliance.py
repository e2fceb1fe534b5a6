"""`fairroll compliance` as it is typed: from settings alone, and of a running pipeline."""

import base64
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from infra.local.ports import LOOPBACK, Ports
from infra.local.stack import LocalStack
from infra.setup.provision import provision_topics
from models.contract.topics import kafka_topics
from models.ledger.codec import decode_outcome
from models.ledger.outcomes import SiteCounted
from models.settings import Settings
from tests.e2e.pipeline_client import MosquittoDispenser, eventually, listen, records
from tests.support.processes import fairroll
from tests.support.story import template

SITES = """\
[sites.park]
devices = ["gate"]
mode = "face"

[sites.hall]
devices = ["gate"]
placement = "inside"
"""
DAY_S = 86_400


@pytest.fixture
def offline(tmp_path: Path) -> Settings:
    (tmp_path / "sites.toml").write_text(SITES)
    return Settings(kafka=f"{LOOPBACK}:1", sites=tmp_path / "sites.toml")


async def test_offline_writes_both_forms_and_the_exit_code_shows_whether_a_line_fails(
    offline: Settings, tmp_path: Path
) -> None:
    code, output, errors = await fairroll(offline, "compliance", "park", "--offline", "--out", str(tmp_path / "new"))
    assert (code, errors) == (1, "")
    assert "fail: Photos and masks in front of the camera" in output
    assert output.endswith("This is no legal advice.\n")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"compliance-park.md", "compliance-park.html"}
    code, output, _ = await fairroll(offline, "compliance", "hall", "--offline", "--out", str(tmp_path))
    assert code == 0
    assert "0 fail, 0 needs counsel" in output


async def test_one_form_alone_is_written_where_it_is_wanted(offline: Settings, tmp_path: Path) -> None:
    await fairroll(offline, "compliance", "park", "--offline", "--format", "md", "--out", str(tmp_path / "new"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["compliance-park.md"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", "--offline"), "no site 'nowhere'"),
        (("park",), f"no Kafka answers at {LOOPBACK}:1"),
    ],
)
async def test_what_it_cannot_look_at_is_said_and_nothing_is_written(
    offline: Settings, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, _, errors = await fairroll(offline, "compliance", *arguments, "--out", str(tmp_path / "new"))
    assert code == 2
    assert message in errors
    assert not (tmp_path / "new").exists()


async def test_faces_inside_are_refused_before_anything_is_written(offline: Settings, tmp_path: Path) -> None:
    offline.sites.write_text('[sites.park]\ndevices = ["gate"]\nmode = "face"\nplacement = "inside"\n')
    code, _, errors = await fairroll(offline, "compliance", "park", "--offline", "--out", str(tmp_path / "new"))
    assert code == 2
    assert 'placement = "inside" forbids mode = "face"' in errors


@pytest_asyncio.fixture
async def pipeline(tmp_path: Path) -> AsyncIterator[LocalStack]:
    sites = tmp_path / "sites.toml"
    sites.write_text(SITES)
    async with LocalStack(tmp_path, ports=Ports.free(), environ={"FAIRROLL_SITES": str(sites)}) as stack:
        yield stack


async def test_a_report_of_a_running_site_says_what_was_done_and_then_that_it_was_held(
    pipeline: LocalStack, tmp_path: Path
) -> None:
    settings = pipeline.settings
    async with listen(pipeline, "park", "gate") as gate:
        await gate.send("state", {"online": True, "firmware": "fairroll-0.1.0", "mode": "face", "model": "synthetic/1"})
        await _some_people_ask(gate)
        await eventually(lambda: _counts(settings), lambda counts: any(count.templates == 2 for count in counts))

        found = await _report(settings, tmp_path)
        assert "2, the oldest " in found["Templates alive"]
        assert "3 requests by face, up to 2 templates alive" in found["Expected wrongful refusals a day"]
        assert "refused as known: 1" in found["Expected wrongful refusals a day"]
        assert "**fail**: the rate behind it is not proven" in found["Expected wrongful refusals a day"]
        assert "at most 4e-07" in found["False match rate of synthetic/1"]
        assert "1 asked by button and " in found["Who was served without a face, in the last day"]
        assert "0 were refused; helped by staff: 1" in found["Who was served without a face, in the last day"]
        assert "1; 0 templates were erased" in found["Requests to be forgotten, in the last day"]
        for fact in ("Since when sealed templates can be read", "How the site works now", "Pictures"):
            assert "**pass**" in found[fact], fact
        assert "**pass**: as fairroll provision sets it" in found["Kafka keeps fairroll.events"]
        code, output, _ = await fairroll(settings, "compliance", "hall", "--out", str(tmp_path))
        assert code == 0, output

        await gate.send("state", {"online": True, "firmware": "fairroll-0.1.0", "mode": "held", "model": "synthetic/1"})
    code, output, _ = await fairroll(settings, "hold", "park", "--why", "a test")
    assert code == 0, output
    await provision_topics(settings, kafka_topics(settings.topics, settings.partitions, DAY_S))

    found = await _report(settings, tmp_path)
    assert "held now: 2 templates and " in found["Keys are destroyed at a hold"]
    assert "**pass**" in found["Keys are destroyed at a hold"]
    assert "**pass**: what was sealed before is noise" in found["Since when sealed templates can be read"]
    assert "**fail**: retention.ms is 90000000, not 4140000" in found["Kafka keeps fairroll.events"]


async def _some_people_ask(gate: MosquittoDispenser) -> None:
    """One comes until she is known, for keys are some seconds on their way at a start; and others, in every way."""
    numbers = itertools.count()
    await eventually(
        lambda: gate.ask(_by_face("face", next(numbers), "ann")), lambda output: output["kind"] == "refuse"
    )
    await gate.ask(_by_face("face", next(numbers), "bob"))
    await gate.ask({"kind": "button", "id": "button-000000000000"})
    await gate.ask({"kind": "staff", "id": "staff-0000000000000"})
    await gate.ask(_by_face("forget", 9, "cid"))


def _by_face(kind: str, number: int, person: str) -> dict[str, str]:
    shown = base64.b64encode(template(person)).decode()
    return {"kind": kind, "id": f"{kind}-{number:016}", "model": "synthetic/1", "template": shown}


async def _counts(settings: Settings) -> list[SiteCounted]:
    outcomes = [decode_outcome(record.value) for record in await records(settings, settings.topics.decisions)]
    return [outcome for outcome in outcomes if isinstance(outcome, SiteCounted)]


async def _report(settings: Settings, folder: Path) -> dict[str, str]:
    """The lines of the Markdown report, by their facts."""
    code, output, errors = await fairroll(settings, "compliance", "park", "--out", str(folder))
    assert (code, errors) == (1, ""), output
    rows = [row for row in (folder / "compliance-park.md").read_text().splitlines() if row.startswith("| ")]
    return {row.split(" | ")[0].removeprefix("| "): row for row in rows}
