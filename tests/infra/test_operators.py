"""What operators do with a running pipeline: look at it, and bring back what could not be read."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from msgspec import structs

from infra.local.ports import LOOPBACK, Ports
from infra.local.stack import LocalStack
from infra.setup.provision import provision_topics
from infra.status.probe import read_status
from models.contract.codec import encode
from models.contract.dead_letters import DeadLetter
from models.contract.messages import DeviceState
from models.contract.topics import kafka_topics
from models.ledger.codec import decode_outcome
from models.ledger.outcomes import ReportKept
from models.ledger.rules.policy import Sites, SiteSpec
from models.settings import Settings
from stream_processors.runtime.health import Vitals
from stream_processors.runtime.kafka import open_producer
from tests.e2e.pipeline_client import MosquittoDispenser, eventually, records
from tests.support.processes import environ_of, fairroll, ran
from tests.support.registry import register

ONE_DISPENSER = '[sites.park]\ndevices = ["gate"]\n'
TWO_DISPENSERS = '[sites.park]\ndevices = ["gate", "shed"]\n'
TEMPLATE = "qx" * 43


@asynccontextmanager
async def a_service(vitals: Vitals) -> AsyncIterator[str]:
    """The address of a health page with these vitals."""

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(body=encode(vitals), status=200 if vitals.ready else 503, content_type="application/json")

    application, port = web.Application(), Ports.free().ingress
    application.add_routes([web.get("/readyz", readyz)])
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, port).start()
        yield f"{LOOPBACK}:{port}"
    finally:
        await runner.cleanup()


def vitals_of(part: str, *, ready: bool) -> Vitals:
    return Vitals(service=part, instance="1", alive=True, ready=ready, up_s=1.0, counts={})


async def test_what_is_ready_is_well_and_what_is_not_is_a_problem(brokers: Settings) -> None:
    settings = structs.replace(brokers, namespace="lakes")  # other tests register sites in the shared one
    await provision_topics(settings, kafka_topics(settings.topics, settings.partitions, 540))
    await register(settings, Sites(sites={"lake": SiteSpec(devices=("pier", "boat"))}))
    async with open_producer(settings) as producer:
        await producer.send_and_wait(settings.topics.states, encode(DeviceState(online=True)), key=b"lake/pier")
    async with (
        a_service(vitals_of("ingress", ready=True)) as ingress,
        a_service(vitals_of("sink", ready=False)) as sink,
    ):
        well = await read_status(structs.replace(settings, services=ingress))
        unwell = await read_status(structs.replace(settings, services=f"{ingress},{sink},{LOOPBACK}:1"))
    no_keys = f"key holder does not answer at {brokers.keys}: no answer to the auditor's role (FAIRROLL_KEYS names it)"
    assert well.problems == [no_keys]
    assert unwell.problems == [
        no_keys,
        "sink 1 is not ready",
        f"no service answers at {LOOPBACK}:1 (FAIRROLL_SERVICES)",
    ]
    assert well.kafka
    assert [(seen.device, seen.is_online) for seen in well.kafka.dispensers] == [("pier", True), ("boat", None)]


async def test_topics_that_are_not_there_are_named(brokers: Settings) -> None:
    empty = structs.replace(brokers, namespace="nowhere")
    seen = await read_status(empty)
    assert seen.kafka is None
    assert any("Kafka shows no topic nowhere.controls: run `fairroll provision`" in one for one in seen.problems)


async def test_a_hundred_thousand_dead_letters_are_counted_first_and_fill_no_memory(
    brokers: Settings, tmp_path: Path
) -> None:
    (tmp_path / "sites.toml").write_text(ONE_DISPENSER)
    settings = structs.replace(brokers, namespace="flooded", sites=tmp_path / "sites.toml", services=f"{LOOPBACK}:1")
    await provision_topics(settings, kafka_topics(settings.topics, settings.partitions, 540))
    letters = [
        encode(DeadLetter(source=f"flooded/v1/{site}/gate/request", reason=f"not JSON: byte {n}", size=9, sha256="0"))
        for n in range(500)
        for site in ("park", "hall")
    ]
    async with open_producer(settings) as producer:
        for _ in range(100):
            sent = [await producer.send(settings.topics.dead_letters, letter) for letter in letters]
            await asyncio.gather(*sent)

    shown, peak_mb = await measured(settings, "dead-letters", "--limit", "3")
    lines = shown.splitlines()
    assert lines[0] == "100,000 dead letters"
    assert len(lines) < 40
    assert peak_mb < 120
    shown, _ = await measured(settings, "dead-letters", "--site", "park", "--reason", "byte 499", "--limit", "0")
    assert shown.splitlines()[0] == "100 dead letters"
    shown, peak_mb = await measured(settings, "dead-letters", "--json")
    assert len(shown.splitlines()) == 100_000
    assert peak_mb < 120
    shown, peak_mb = await measured(settings, "status")
    assert " 100000  not JSON" in shown
    assert peak_mb < 120


async def measured(settings: Settings, *arguments: str) -> tuple[str, float]:
    """Standard output of a run of the `fairroll` command, and the most memory that it took, in MB."""
    run = (
        "import resource, subprocess, sys; subprocess.run([sys.executable, '-m', 'infra.cli', *sys.argv[1:]]);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    measuring = await ran(sys.executable, "-c", run, *arguments, env=environ_of(settings))
    *lines, peak_mb = measuring.lines
    return "\n".join(lines), float(peak_mb)


async def test_status_of_nothing_at_all_is_exit_code_1_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "sites.toml").write_text(ONE_DISPENSER)
    nowhere = Settings(
        mqtt=f"{LOOPBACK}:1",
        kafka=f"{LOOPBACK}:1",
        influx_url=f"http://{LOOPBACK}:1",
        services=f"{LOOPBACK}:1",
        sites=tmp_path / "sites.toml",
    )
    code, shown, complained = await fairroll(nowhere, "status")
    assert code == 1
    assert "Traceback" not in complained
    assert "not well: MQTT does not answer at 127.0.0.1:1" in shown


@pytest_asyncio.fixture
async def pipeline(tmp_path: Path) -> AsyncIterator[LocalStack]:
    sites = tmp_path / "sites.toml"
    sites.write_text(ONE_DISPENSER)
    async with LocalStack(tmp_path, ports=Ports.free(), environ={"FAIRROLL_SITES": str(sites)}) as stack:
        yield stack


async def test_report_of_a_dispenser_that_was_missing_in_the_sites_file_comes_into_the_ledger_once(
    pipeline: LocalStack,
) -> None:
    settings = pipeline.settings
    shed = MosquittoDispenser(settings, "park", "shed")
    await shed.send("report", {"kind": "dispensed", "number": 4, "request": "request-0000000001", "cm": 60})
    await shed.send("report", {"kind": "dispensed", "number": 5, "request": TEMPLATE, "cm": 60})
    await shed.send("request", {"kind": "face", "id": "r" * 16, "model": "synthetic/1", "template": TEMPLATE + "=="})
    await eventually(lambda: records(settings, settings.topics.dead_letters), lambda found: len(found) == 3)

    _, reported, _ = await fairroll(settings, "dead-letters", "--json")
    letters = [json.loads(line) for line in reported.splitlines()]
    assert [("payload" in letter) for letter in letters] == [True, False, False]
    assert TEMPLATE not in reported
    _, shown, _ = await fairroll(settings, "dead-letters")
    assert "      3  unknown site or device\n" in shown

    _, reported, _ = await fairroll(settings, "dead-letters", "--resubmit")
    assert "park/shed/report: left: unknown site or device: park/shed" in reported
    assert reported.endswith("0 sent again, 1 left, 2 without a payload\n")

    settings.sites.write_text(TWO_DISPENSERS)
    assert (await fairroll(settings, "apply")).code == 0
    for _ in range(2):
        _, reported, _ = await fairroll(settings, "dead-letters", "--resubmit")
        assert reported.endswith("1 sent again, 0 left, 2 without a payload\n")
    kept = await eventually(lambda: _kept(settings), lambda found: len(found) == 2)
    assert [(report.device, report.command.numbers, report.cm) for report in kept] == [
        ("shed", (4,), 60),
        ("shed", (4,), 0),
    ]

    _, reported, _ = await fairroll(settings, "status", "--json")
    seen: dict[str, Any] = json.loads(reported)["kafka"]
    assert seen["dead_letters"] == {"unknown site or device": 3}
    assert {reported["group"] for reported in seen["backlogs"]} == {
        "fairroll.decider",
        "fairroll.egress",
        "fairroll.sink",
    }
    assert [(reported["device"], reported["is_online"]) for reported in seen["dispensers"]] == [
        ("gate", None),
        ("shed", None),
    ]


@pytest.mark.parametrize("since", ["1y", "h", "-1h", "1.5h"])
async def test_a_time_that_is_none_is_refused(tmp_path: Path, since: str) -> None:
    code, _, complained = await fairroll(Settings(sites=tmp_path), "dead-letters", "--since", since)
    assert code == 2
    assert f"'{since}' is no time such as 90s, 30m, 1h or 7d" in complained


async def _kept(settings: Settings) -> list[ReportKept]:
    outcomes = [decode_outcome(record.value) for record in await records(settings, settings.topics.decisions)]
    return [outcome for outcome in outcomes if isinstance(outcome, ReportKept)]
