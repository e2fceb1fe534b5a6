"""`fairroll record`, `replay` and `explain` on a real pipeline, as an operator runs them."""

import asyncio
import contextlib
import csv
import fcntl
import io
import json
import os
import signal
import sys
import termios
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
import zstandard

from models.contract.messages import Refuse
from models.ledger.codec import decode_outcome
from models.ledger.outcomes import Answered
from tests.experiments.replay_proof.stage import REAL, SIMULATED
from tests.replay.conftest import REQUESTS, Recorded
from tests.support.processes import FAIRROLL, beside, environ_of, everything_published, fairroll

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]


WITHIN_S = 60
SLOWLY = (sys.executable, "-u", *FAIRROLL[1:], "replay", "--json", "--speed", "60x")
"""It cannot end unread either: its rows are more than a pipe holds."""


def unpacked(path: Path) -> list[dict[str, Any]]:
    text = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
    return [json.loads(line) for line in text.splitlines()]


def counts(screen: str, kind: str) -> list[int]:
    """A row of the first table: equal, different, unproven, missing."""
    [row] = [line for line in screen.splitlines() if line.startswith(f"{kind} ")]
    return [int(cell.replace(",", "")) for cell in row.split()[1:]]


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def refusals(pipeline: Recorded) -> list[Answered]:
    """Those for their quota, at the park."""
    outcomes = (decode_outcome(value) for _, value in pipeline.decisions)
    answers = [outcome for outcome in outcomes if isinstance(outcome, Answered) and outcome.site == "park"]
    return [a for a in answers if isinstance(a.command, Refuse) and a.command.reason == "quota"]


async def recorded(pipeline: Recorded, file: Path, *options: str) -> Path:
    ran = await fairroll(pipeline.settings, "record", str(file), *options)
    assert ran.code == 0, ran.err
    return file


async def test_a_recorded_stream_is_replayed_byte_for_byte_from_kafka_and_from_its_archive(
    pipeline: Recorded, tmp_path: Path
) -> None:
    simulated = [word for site in SIMULATED for word in ("--site", site)]
    archive = await recorded(pipeline, tmp_path / "day.jsonl.zst", "--with-templates", *simulated)
    for source in ("kafka", str(archive)):
        ran = await fairroll(pipeline.settings, "replay", source)
        assert ran.code == 0, ran.err
        equal, *others = counts(ran.out, "requests")
        assert others == [0, 0, 0]
        assert equal == REQUESTS if source == "kafka" else equal > REQUESTS / 2
        assert counts(ran.out, "reports")[1:] == [0, 0, 0]
        assert "0 by the record of the decisions" in ran.out


async def test_a_real_sites_archive_holds_no_template_and_is_replayed_on_the_record(
    pipeline: Recorded, tmp_path: Path
) -> None:
    archive = await recorded(pipeline, tmp_path / "real.jsonl.zst", *(w for site in REAL for w in ("--site", site)))
    ran = await fairroll(pipeline.settings, "replay", str(archive), FAIRROLL_SECRETS=str(tmp_path / "no secrets here"))
    assert ran.code == 0, ran.err
    equal, different, unproven, missing = counts(ran.out, "requests")
    assert equal > REQUESTS / 8
    assert (different, unproven, missing) == (0, 0, 0)
    assert "0 answers by their templates" in ran.out


async def test_only_made_up_faces_of_simulated_sites_are_archived(pipeline: Recorded, tmp_path: Path) -> None:
    archive = await recorded(pipeline, tmp_path / "all.jsonl.zst", "--with-templates")
    carried, asked = set(), set()
    for line in unpacked(archive):
        event = line.get("event", {})
        assert event.get("sealed") is None
        if event.get("request", {}).get("kind") in ("face", "forget"):
            asked.add(event["site"])
            carried |= {event["site"]} if event["request"].get("template") else set()
    assert asked == {*SIMULATED, *REAL}
    assert carried == set(SIMULATED)


async def test_templates_of_a_real_site_cannot_be_asked_for(pipeline: Recorded, tmp_path: Path) -> None:
    ran = await fairroll(pipeline.settings, "record", str(tmp_path / "a"), "--site", REAL[0], "--with-templates")
    assert ran.code == 2
    assert "none of these sites is marked simulated" in ran.err
    assert files(tmp_path) == []


async def test_rows_come_as_csv_and_as_json_and_are_filtered(pipeline: Recorded, tmp_path: Path) -> None:
    archive = str(await recorded(pipeline, tmp_path / "all.jsonl.zst"))
    filters = ["--site", "park", "--outcome", "quota"]
    as_csv = await fairroll(pipeline.settings, "replay", archive, "--csv", *filters)
    as_json = await fairroll(pipeline.settings, "replay", archive, "--json", *filters)
    table = list(csv.DictReader(io.StringIO(as_csv.out)))
    objects = [json.loads(line) for line in as_json.out.splitlines()]
    assert [row["request"] for row in table] == [one["request"] for one in objects]
    assert {one["request"] for one in objects} == {answered.command.request for answered in refusals(pipeline)}
    assert {(one["site"], one["reason"], one["comparison"]) for one in objects} == {("park", "quota", "equal")}
    [visitor] = {one["visitor"] for one in objects[:1]}
    only = await fairroll(pipeline.settings, "replay", archive, "--json", "--visitor", visitor)
    assert {json.loads(line)["visitor"] for line in only.out.splitlines()} == {visitor}


async def test_a_refusal_is_explained_alike_from_kafka_and_from_an_archive_without_a_biometric(
    pipeline: Recorded, tmp_path: Path
) -> None:
    refused = refusals(pipeline)[0]
    archive = str(await recorded(pipeline, tmp_path / "all.jsonl.zst", "--site", "park"))
    output = []
    for source in ("kafka", archive):
        ran = await fairroll(pipeline.settings, "explain", refused.command.request, source, "--json")
        assert ran.code == 0, ran.err
        [explanation] = json.loads(ran.out)["explanations"]
        output.append(explanation)
    by_template, by_record = output
    assert (by_template["face"].pop("identity_source"), by_record["face"].pop("identity_source")) == (
        "template",
        "record",
    )
    assert by_template == by_record
    assert by_record["answered"]["command"]["reason"] == "quota"
    assert by_record["limits"][0]["name"] == "limit_cm"
    assert not by_record["limits"][0]["has_room"]
    assert sum(line["counts_cm"] for line in by_record["before"]) == by_record["limits"][0]["counted_cm"] > 0
    assert by_record["policy"] == {"portion_cm": 60, "window_s": 3600, "limit_cm": 60, "dispenser_limit_cm": 100000}
    assert by_record["face"]["score"] >= by_record["face"]["same"] == refused.threshold
    shown = await fairroll(pipeline.settings, "explain", refused.command.request)
    assert "refused for its quota" in shown.out
    assert f"the same person from {by_record['face']['same']} on" in " ".join(shown.out.split())


async def test_nobody_knows_of_a_request_that_was_never_made(pipeline: Recorded, tmp_path: Path) -> None:
    archive = str(await recorded(pipeline, tmp_path / "park.jsonl.zst", "--site", "park"))
    for source in ("kafka", archive):
        ran = await fairroll(pipeline.settings, "explain", "request-that-is-unknown", source)
        assert (ran.code, ran.out) == (1, "")
        assert "request-that-is-unknown" in ran.err


async def test_a_damaged_archive_replays_nothing_and_names_the_record(pipeline: Recorded, tmp_path: Path) -> None:
    archive = await recorded(pipeline, tmp_path / "park.jsonl.zst", "--site", "park")
    text = zstandard.ZstdDecompressor().stream_reader(archive.read_bytes()).read()
    kept = text.splitlines(keepends=True)
    kept[-2] = kept[-2].replace(b'"at":1', b'"at":2', 1)
    archive.write_bytes(zstandard.compress(b"".join(kept)))
    ran = await fairroll(pipeline.settings, "replay", str(archive), "--json")
    assert (ran.code, ran.out) == (1, "")
    assert f"record {len(kept) - 2} is not what was recorded" in ran.err


async def test_an_archive_of_another_pipeline_is_replayed_on_the_record_only(
    pipeline: Recorded, tmp_path: Path
) -> None:
    archive = str(await recorded(pipeline, tmp_path / "m.jsonl.zst", "--site", "meadow-1", "--with-templates"))
    (tmp_path / "secrets").mkdir(mode=0o700)
    (tmp_path / "secrets" / "pipeline.key").write_text("ab" * 32)
    elsewhere = {"FAIRROLL_SECRETS": str(tmp_path / "secrets")}
    ran = await fairroll(pipeline.settings, "replay", archive, **elsewhere)
    assert ran.code == 1
    assert "belongs to another pipeline" in ran.err
    on_record = await fairroll(pipeline.settings, "replay", archive, "--on-record", **elsewhere)
    assert on_record.code == 0, on_record.err
    assert counts(on_record.out, "requests")[1] == 0


@pytest.mark.parametrize("way", ["archive", "kafka"])
async def test_a_replay_that_is_stopped_goes_on_where_it_was(pipeline: Recorded, tmp_path: Path, way: str) -> None:
    source = "kafka" if way == "kafka" else str(await recorded(pipeline, tmp_path / "all.jsonl.zst"))
    whole = await fairroll(pipeline.settings, "replay", source, "--json")
    environ = {"FAIRROLL_DATA": str(tmp_path / "data")}
    async with beside(*SLOWLY, source, env=environ_of(pipeline.settings, **environ), stderr=PIPE) as stopped:
        assert stopped.stdout
        first = await asyncio.wait_for(stopped.stdout.readline(), WITHIN_S)
        stopped.send_signal(signal.SIGINT)
        rest, errors = await asyncio.wait_for(stopped.communicate(), WITHIN_S)
    assert stopped.returncode == 130, errors.decode()
    assert "--resume" in errors.decode()
    begun = (first + rest).decode()
    assert 0 < len(begun.splitlines()) < len(whole.out.splitlines())
    resumed = await fairroll(pipeline.settings, "replay", "--resume", str(tmp_path / "data" / "replay.json"), **environ)
    assert resumed.code == 0, resumed.err
    assert begun + resumed.out == whole.out
    assert counts(resumed.err, "requests") == counts(whole.err, "requests")


async def test_the_space_bar_pauses_a_replay_and_no_other_key_does(pipeline: Recorded, tmp_path: Path) -> None:
    archive = str(await recorded(pipeline, tmp_path / "all.jsonl.zst"))
    whole = await fairroll(pipeline.settings, "replay", archive, "--json")
    keyboard, terminal = os.openpty()
    async with beside(
        *SLOWLY,
        archive,
        env=environ_of(pipeline.settings),
        stdin=terminal,
        stderr=PIPE,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # the terminal is its own, as in a shell
    ) as replaying:
        assert replaying.stdout
        output = await asyncio.wait_for(replaying.stdout.readline(), WITHIN_S)
        os.write(keyboard, b" ")
        output += await until_silent(replaying.stdout)
        os.write(keyboard, b"x\n")
        assert await until_silent(replaying.stdout) == b""
        assert 0 < len(output.splitlines()) < len(whole.out.splitlines())
        os.write(keyboard, b" ")
        rest, errors = await asyncio.wait_for(replaying.communicate(), WITHIN_S)
    assert replaying.returncode == 0, errors.decode()
    assert (output + rest).decode() == whole.out
    assert termios.tcgetattr(terminal)[3] & termios.ICANON, "the terminal is left as it was"
    os.close(keyboard)
    os.close(terminal)


async def until_silent(stream: asyncio.StreamReader) -> bytes:
    """What comes until nothing has come for a second."""
    output = b""
    with contextlib.suppress(TimeoutError):
        while more := await asyncio.wait_for(stream.read(1 << 16), 1):
            output += more
    return output


async def test_a_replay_with_the_live_broker_in_its_environment_publishes_nothing(pipeline: Recorded) -> None:
    async with everything_published(pipeline.settings) as published:
        ran = await fairroll(pipeline.settings, "replay", "kafka", FAIRROLL_MQTT=pipeline.settings.mqtt)
        assert ran.code == 0, ran.err
        assert counts(ran.out, "requests")[0] == REQUESTS
    assert published == [b""]


async def test_a_replay_connects_to_nothing_at_the_brokers_address(pipeline: Recorded) -> None:
    connected = []
    server = await asyncio.start_server(lambda *streams: connected.append(streams), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        ran = await fairroll(pipeline.settings, "replay", "kafka", FAIRROLL_MQTT=f"127.0.0.1:{port}")
    assert ran.code == 0, ran.err
    assert connected == []


async def test_a_replay_of_kafka_begins_at_an_offset(pipeline: Recorded) -> None:
    listed = await fairroll(pipeline.settings, "replay", "kafka", "--json")
    rows = [json.loads(line) for line in listed.out.splitlines()]
    middle = rows[len(rows) // 2]
    place = f"{middle['partition']}/{middle['offset']}"
    later = await fairroll(pipeline.settings, "replay", "kafka", "--json", "--offset", place)
    assert [json.loads(line) for line in later.out.splitlines()] == [row for row in rows if row["at"] >= middle["at"]]
    nowhere = await fairroll(pipeline.settings, "replay", "kafka", "--offset", "0/999999999")
    assert (nowhere.code, nowhere.out) == (2, "")
    assert "and not 999999999" in nowhere.err
