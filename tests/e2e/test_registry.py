"""Sites and dispensers are added and removed while everything runs, and nothing is started again."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.local.stack import LocalStack
from infra.retained import read_retained
from models.keys.seals import binding
from models.ledger.codec import decode_event
from models.ledger.events import Requested
from models.settings import Settings
from stream_processors.runtime.key_client import open_keys, read_facts
from tests.e2e.conftest import SITES
from tests.e2e.pipeline_client import MosquittoDispenser, eventually, listen, records
from tests.e2e.planting import MODEL, template
from tests.support.processes import fairroll

pytestmark = pytest.mark.asyncio(loop_scope="session")

MOON = '[sites.moon]\ndevices = [{}]\nmode = "face"\n'
ONLINE = {"online": True, "sequence": 7}


def request(kind: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "id": uuid.uuid4().hex, **more}


@asynccontextmanager
async def applied(settings: Settings, folder: Path) -> AsyncIterator[Any]:
    """`fairroll apply` with a file of the pipeline's sites and more; at the end the moon is gone."""
    file = folder / "sites.toml"

    async def apply(more: str, *options: str) -> str:
        file.write_text(f"{SITES}\n{more}")
        ended = await fairroll(settings, "apply", *options, FAIRROLL_SITES=str(file))
        assert ended.code == 0, ended.err
        return ended.out

    try:
        yield apply
    finally:
        await apply("", "--remove")


async def rows_of(settings: Settings, site: str) -> set[bytes]:
    """The keys of a site's rows."""
    found = await records(settings, settings.topics.accounts_changelog)
    last = {(record.partition, record.key): record.value for record in found}
    return {key for (_, key), value in last.items() if value and f"/{site}/" in f"{key.decode()}/"}


async def is_readable(settings: Settings, site: str) -> bool:
    """Whether any template of the site can still be read."""
    async with open_keys(settings, "decider") as keys:
        for record in await records(settings, settings.topics.events):
            event = decode_event(record.value)
            if isinstance(event, Requested) and event.site == site and event.sealed:
                bound = binding(site, event.device, event.request.id)
                if keys.unseal(site, event.sealed, bound) is not None:
                    return True
    return False


async def letters_of(settings: Settings, source: str) -> list[bytes]:
    found = await records(settings, settings.topics.dead_letters)
    return [record.value for record in found if record.key.decode().startswith(source)]


async def has_state(settings: Settings, dispenser: str) -> bool:
    """Whether Kafka holds a state of it."""
    found = await records(settings, settings.topics.states)
    return {record.key.decode(): record.value for record in found}.get(dispenser) is not None


async def test_a_site_is_added_served_and_removed_while_all_of_it_runs(pipeline: LocalStack, tmp_path: Path) -> None:
    settings, topics = pipeline.settings, pipeline.settings.topics
    before = [process.pid for process in pipeline]
    async with applied(settings, tmp_path) as apply:
        assert "moon: added: face" in await apply(MOON.format('"gate", "door"'))
        assert await apply(MOON.format('"door", "gate"')) == "nothing changes\n"
        async with listen(pipeline, "moon", "gate") as gate:
            assert (await gate.ask(request("button")))["kind"] == "dispense"
            assert (await gate.ask(request("face", model=MODEL, template=template(7))))["kind"] == "dispense"
        assert await is_readable(settings, "moon")

        door = MosquittoDispenser(settings, "moon", "door")
        await door.send("state", ONLINE, "-r")
        assert await eventually(lambda: has_state(settings, "moon/door"), bool)
        assert "kept: moon/door; `fairroll apply --remove` removes them" in await apply(MOON.format('"gate"'))
        assert "moon: changed: - door" in await apply(MOON.format('"gate"'), "--remove")
        for _ in range(2):  # its will comes when it is unplugged
            assert not await eventually(lambda: read_retained(settings, f"{door.topic}/state"), lambda found: not found)
            assert not await eventually(lambda: has_state(settings, "moon/door"), lambda there: not there)
            await door.send("state", {**ONLINE, "online": False}, "-r")
        await door.send("request", request("button"))
        [letter] = await eventually(lambda: letters_of(settings, f"{door.topic}/request"), bool)
        assert b"unknown site or device: moon/door" in letter

        assert topics.control("moon") in await read_retained(settings, topics.control("+"))
        assert "moon: removed, with 1 dispensers" in await apply("", "--remove", "--why", "closed", "--by", "ann")
        await is_gone(settings, "moon")
        receipts = await receipts_of(settings, "moon")
        assert [(one["kind"], one["templates"], one["why"], one["by"]) for one in receipts] == [
            ("removed", 1, "closed", "ann")
        ]

        held = await fairroll(settings, "hold", "moon", "--why", "a stray camera", FAIRROLL_SITES="/nowhere")
        assert held.code == 0, held.out + held.err
        found = await eventually(lambda: read_retained(settings, topics.control("moon")), bool)
        assert json.loads(found[topics.control("moon")])["mode"] == "held"
    await is_gone(settings, "moon")
    assert [process.pid for process in pipeline] == before


async def is_gone(settings: Settings, site: str) -> None:
    """Nothing of it is retained, stored or readable."""
    retained = await eventually(
        lambda: read_retained(settings, settings.topics.control("+")),
        lambda found: settings.topics.control(site) not in found,
    )
    assert settings.topics.control(site) not in retained
    assert await eventually(lambda: rows_of(settings, site), lambda rows: not rows) == set()
    assert not await is_readable(settings, site)
    facts = await read_facts(settings)
    assert facts
    assert (facts.sites[site].mode, facts.sites[site].chain) == ("removed", None)


async def receipts_of(settings: Settings, site: str) -> list[dict[str, Any]]:
    lines = (await fairroll(settings, "receipts", "--json")).lines
    return [receipt for receipt in map(json.loads, lines) if receipt["site"] == site]


async def test_status_reports_a_control_that_is_not_the_one_of_kafka(pipeline: LocalStack) -> None:
    settings = pipeline.settings
    topic = settings.topics.control("hall")
    await pipeline.stop("egress")
    try:
        await MosquittoDispenser(settings, "hall", "gate").publish(topic, b"{}", "-r")
        ended = await fairroll(settings, "status", "--json")
    finally:
        await pipeline.start("egress")
    problems = json.loads(ended.out)["problems"]
    assert any(one.startswith("the MQTT broker retains another control of hall") for one in problems), problems
    assert await eventually(lambda: read_retained(settings, topic), bool)
