"""The audit of a live system: clean as it runs, and loud about whatever is planted, in each place."""

import os
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest_asyncio
from aiohttp import web
from msgspec import structs

from infra.audit.detection import see
from infra.local.ports import LOOPBACK, Ports
from infra.local.stack import LocalStack
from models.contract.codec import encode
from models.contract.messages import Revision
from models.keys.seal_chain import KeysReply, SiteChain, SiteSealKey, SitesReply, facts_of, minute_of
from models.keys.seals import ENTROPY_BYTES, SealKey
from models.settings import Settings
from stream_processors.runtime.key_protocol import listening
from tests.e2e.pipeline_client import eventually, in_influx, listen, records
from tests.e2e.planting import MODEL, audited, found, plant, plant_sealed, template

SITES = '[sites.park]\ndevices = ["gate"]\nmode = "face"\nsimulated = true\n'
WINDOW_S = 540
LATE_MS = 2 * 1000 * WINDOW_S
"""how far the clock of the bad key holder is behind"""


@pytest_asyncio.fixture
async def pipeline(tmp_path: Path) -> AsyncIterator[LocalStack]:
    """One of its own: what is planted stays."""
    sites = tmp_path / "sites.toml"
    sites.write_text(SITES)
    async with LocalStack(tmp_path / "stack", ports=Ports.free(), environ={"FAIRROLL_SITES": str(sites)}) as stack:
        yield stack


async def test_a_running_system_is_clean_and_what_is_planted_in_each_place_is_found(
    pipeline: LocalStack, memory: Path, tmp_path: Path
) -> None:
    settings, recordings = pipeline.settings, tmp_path / "recordings"
    await serve_some(pipeline)

    code, received, _ = await audited(settings, "--publish")
    assert received["findings"] == []
    assert [place["name"] for place in received["places"] if place["verdict"] != "clean"] == []
    assert code == 0
    places = {place["name"]: place for place in received["places"]}
    assert places[settings.topics.events]["live"] > 0
    assert places[settings.topics.accounts_changelog]["live"] > 0
    assert all(place["inspected"] for name, place in places.items() if name not in NO_CONTENT)
    [point] = await in_influx(settings, "SELECT * FROM audits")
    assert (point["findings"], point["unread"], point["places"]) == (0, 0, len(places))

    for service in ("ingress", "decider", "egress", "sink"):  # so that no service consumes what is planted
        await pipeline.stop(service)
    expected = await plant(settings, recordings)
    async with late_holder(settings, memory) as (late, key):
        await plant_sealed(late, key)
        code, received, shown = await audited(late, "--files", str(recordings))
    assert found(received) == expected
    assert code == 1
    assert template(0) not in shown
    assert not {sight.what for sight in see(shown.encode())}
    assert not any(len(finding["sha256"]) > 12 for finding in received["findings"])


NO_CONTENT = {"secrets", "key holder", "fairroll.dead-letters", "fairroll.receipts"}
"""What has no bytes to look at, or is empty where nothing went wrong."""


async def test_what_cannot_be_looked_at_is_never_clean(tmp_path: Path) -> None:
    (tmp_path / "sites.toml").write_text(SITES)
    nowhere = Settings(
        mqtt=f"{LOOPBACK}:1",
        kafka=f"{LOOPBACK}:1",
        influx_url=f"http://{LOOPBACK}:1",
        keys=f"unix:{tmp_path}/keys",
        secrets=tmp_path / "secrets",
        data=tmp_path / "data",
        sites=tmp_path / "sites.toml",
    )
    code, received, _ = await audited(nowhere)
    assert {place["verdict"] for place in received["places"]} == {"unread"}
    assert all(place["why"] for place in received["places"])
    assert code == 2
    groups = ("key-holder", "secrets", "kafka", "broker-files", "mqtt", "influxdb", "data", "logs")
    code, received, _ = await audited(nowhere, *(word for group in groups for word in ("--skip", group)))
    assert {place["verdict"] for place in received["places"]} == {"skipped"}
    assert code == 0


async def serve_some(pipeline: LocalStack) -> None:
    """By face, until ingress has the key of a template, and by button; returns when there are metrics."""
    settings = pipeline.settings
    async with listen(pipeline, "park", "gate") as gate:

        async def is_sealed() -> bool:
            face = {"kind": "face", "id": uuid.uuid4().hex, "model": MODEL, "template": template(0)}
            await gate.ask(face)
            return any(b'"sealed":[' in record.value for record in await records(settings, settings.topics.events))

        await gate.send("state", {"online": True, "firmware": "1.0"}, "-r")
        await gate.ask({"kind": "button", "id": uuid.uuid4().hex})
        assert await eventually(is_sealed, bool)
    await eventually(lambda: records(settings, settings.topics.states), lambda seen: len(seen) > 0)
    await eventually(lambda: in_influx(settings, "SELECT templates FROM sites"), bool)


@asynccontextmanager
async def late_holder(settings: Settings, memory: Path) -> AsyncIterator[tuple[Settings, SealKey]]:
    """A key holder whose clock is late, so that it keeps keys for too long; its address, and its oldest key."""
    at = time.time_ns() // 1_000_000 - LATE_MS
    key = SealKey.first(minute_of(at), os.urandom(ENTROPY_BYTES))
    chain = SiteChain(mode="face", window_s=WINDOW_S, revision=Revision(at, 0), key=key, since=at)
    keys = KeysReply(at=at, sites={"park": SiteSealKey(window_s=WINDOW_S, key=key)})
    facts = SitesReply(at=at, sites={"park": facts_of(chain)})

    def answer(received: KeysReply | SitesReply) -> Any:
        async def tell(_: web.Request) -> web.Response:
            return web.Response(body=encode(received), content_type="application/json")

        return tell

    application = web.Application()
    application.add_routes([web.get("/v1/seal", answer(keys)), web.get("/v1/sites", answer(facts))])
    late = structs.replace(settings, keys=f"unix:{memory}")
    async with listening(late, application):
        yield late, key
