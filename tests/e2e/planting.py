"""What must never be, put into each place where an audit looks: nothing of it comes from a person."""

import base64
import contextlib
import gzip
import hashlib
import json
import os
import sqlite3
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka.admin import NewTopic
from aiomqtt import Client, ProtocolVersion

from models.contract.codec import encode
from models.contract.dead_letters import DeadLetter
from models.contract.messages import Dispense, FaceSeen
from models.keys.seals import NONCE_BYTES, Keyring, SealKey, binding
from models.ledger.codec import decode_outcome
from models.ledger.events import Requested
from models.ledger.outcomes import Answered
from models.ledger.rows import Entry, VisitorAccount, visitor_key
from models.settings import Settings, host_and_port
from stream_processors.runtime.kafka import open_admin, open_producer
from tests.e2e.pipeline_client import records
from tests.support.processes import fairroll

__all__ = ["JPEG", "MODEL", "audited", "found", "plant", "plant_sealed", "template"]

MODEL = "synthetic/1"
UNKNOWN = "fairroll.decider-visitors-changelog"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(range(200))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)
EMBEDDING = json.dumps([(number % 17 - 8) / 91 for number in range(128)]).encode()
_DAY_MS = 86_400_000
_NOW_MS = time.time_ns() // 1_000_000


def template(person: int) -> str:
    """A template of no person, in base64."""
    return base64.b64encode(_raw(person)).decode()


def _raw(person: int) -> bytes:
    return hashlib.sha512(f"no person {person}".encode()).digest()


async def plant(settings: Settings, recordings: Path) -> dict[str, set[str]]:
    """Violations in each place, and the kinds that are to be found there; `plant_sealed` makes those of the seals."""
    topics = settings.topics
    visitor = await _a_visitor(settings)
    await _plant_records(settings, visitor)
    await _plant_retained(settings)
    await _plant_points(settings, visitor)
    _plant_files(topics.events, settings.data, Path(settings.keys_file), visitor, recordings)
    return {
        topics.events: {"template", "overdue"},
        topics.decisions: {"overdue", "embedding"},
        topics.states: {"picture", "visitor"},
        topics.controls: {"template"},
        topics.receipts: {"embedding"},
        topics.dead_letters: {"template", "sealed", "overdue"},
        topics.accounts_changelog: {"template", "overdue"},
        UNKNOWN: {"unknown", "visitor"},
        "MQTT, retained": {"retained", "picture", "template"},
        "InfluxDB": {"unknown", "visitor", "template"},
        "logs": {"visitor", "template"},
        "data": {"embedding", "key", "visitor", "template"},
        "Kafka's own files": {"template", "picture", "embedding", "visitor", "sealed", "overdue"},
        f"files {recordings}": {"template", "picture"},
        "secrets": {"open to others"},
        "key holder": {"open to others", "overdue"},
    }


async def plant_sealed(settings: Settings, key: SealKey) -> None:
    """An event whose template can be read after its window, and the same where nothing sealed may be."""
    topics = settings.topics
    keys, face = Keyring(), FaceSeen(id="planted-request-sealed", model=MODEL, template=None)
    keys.put("park", key)
    bound = binding("park", "gate", face.id)
    sealed = keys.seal("park", _raw(1), bound, key.minute, os.urandom(NONCE_BYTES))
    event = encode(Requested(site="park", device="gate", request=face, sealed=sealed))
    await _send(settings, {topics.events: (b"park", event), topics.dead_letters: (b"x", event)})


async def _a_visitor(settings: Settings) -> str:
    """The pseudonym of a visitor who was served."""
    topics = settings.topics
    outcomes = [decode_outcome(record.value) for record in await records(settings, topics.decisions)]
    return next(output.visitor for output in outcomes if isinstance(output, Answered) and output.visitor)


async def _plant_records(settings: Settings, visitor: str) -> None:
    topics = settings.topics
    async with open_admin(settings) as admin:
        await admin.create_topics([NewTopic(UNKNOWN, 1, 1)])
    face = FaceSeen(id="planted-request-face", model=MODEL, template=_raw(0))
    old = Answered(
        site="park",
        offset=0,
        at=_NOW_MS - 31 * _DAY_MS,
        device="gate",
        by="button",
        command=Dispense(request="r" * 16, cm=60),
    )
    payload = json.dumps({"template": template(0)}).encode()
    await _send(
        settings,
        {
            topics.events: (b"park", encode(Requested(site="park", device="gate", request=face))),
            topics.decisions: (b"park", encode(old)),
            topics.states: (
                f"park/{visitor}".encode(),
                b'{"online":true,"firmware":"' + base64.b64encode(JPEG) + b'"}',
            ),
            topics.controls: (b"park", b'{"site":"park","sign":"' + _raw(0).hex().encode() + b'"}'),
            topics.receipts: (b"park", EMBEDDING),
            topics.dead_letters: (
                b"x",
                encode(DeadLetter(source="x", reason="x", size=1, sha256="", payload=payload)),
            ),
            topics.accounts_changelog: (f"0/{visitor_key('park', 'a' * 16)}".encode(), encode(_row())),
            UNKNOWN: (b"0/" + visitor_key("park", "b" * 16).encode(), b"{}"),
        },
    )
    await _send(settings, {topics.decisions: (b"park", b'{"embedding":' + EMBEDDING + b"}")})


def _row() -> VisitorAccount:
    """An account that should have been deleted, with an open template."""
    then = _NOW_MS - 3_600_000
    entry = Entry("gate", "r" * 16, then, "face", Dispense(request="r" * 16, cm=60))
    return VisitorAccount(offset=0, at=then, model=MODEL, epoch=0, template=_raw(0), entries=(entry,))


async def _send(settings: Settings, planted: Mapping[str, tuple[bytes, bytes]]) -> None:
    async with open_producer(settings) as producer:
        for topic, (key, value) in planted.items():
            await producer.send_and_wait(topic, value, key, partition=0)


async def _plant_retained(settings: Settings) -> None:
    async with Client(*host_and_port(settings.mqtt), protocol=ProtocolVersion.V5) as client:
        await client.publish("fairroll/v1/park/gate/command", b"{}", qos=1, retain=True)
        await client.publish("fairroll/v1/park/gate/state", PNG, qos=1, retain=True)
        await client.publish("elsewhere", template(0), qos=1, retain=True)


async def _plant_points(settings: Settings, visitor: str) -> None:
    lines = f'requests,site=park,visitor={visitor} cm=1i\nreports,site=park fault="{template(0)}"'
    url, token = f"{settings.influx_url}/api/v2/write", {"Authorization": f"Token {settings.influx_token}"}
    async with (
        aiohttp.ClientSession(raise_for_status=True) as http,
        http.post(url, params={"bucket": settings.influx_bucket}, headers=token, data=lines),
    ):
        pass


def _plant_files(events: str, data: Path, keys_file: Path, visitor: str, recordings: Path) -> None:
    secrets = data.parent / "secrets"
    with (data.parent / "logs" / "ingress.log").open("a") as log:
        log.write(f"face of {visitor}\nFaceSeen(template={_raw(0)!r})\n")
    chain = '{"chain":"' + "0" * 16 + '","minute":1,"key":"' + base64.b64encode(bytes(32)).decode() + '"}'
    (data / "chains.json").write_text(chain)
    (data / "pipeline.bak").write_bytes((secrets / "pipeline.key").read_bytes())
    with contextlib.closing(sqlite3.connect(data / "journal.sqlite")) as journal, journal:
        journal.execute("CREATE TABLE memory (rest BLOB)")
        journal.execute("INSERT INTO memory VALUES (?)", [f'{{"template":"{template(0)}"}}'.encode()])
    (data / f"{visitor}.txt").write_bytes(EMBEDDING)
    (data / "kafka" / f"{events}-0" / "00000000000000009999.log.deleted").write_text(f"\0{visitor}\0")
    recordings.mkdir()
    with gzip.open(recordings / "events.gz", "wb") as archive:
        archive.write(bytes(3 << 20) + b"," + template(0).encode() + b"," + PNG)
    (secrets / "site-park.key").chmod(0o644)
    keys_file.chmod(0o640)


async def audited(settings: Settings, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code and output of `fairroll audit --json`, decoded and raw."""
    ended = await fairroll(settings, "audit", "--json", *arguments)
    assert ended.out, ended.err
    return ended.code, json.loads(ended.out), ended.out + ended.err


def found(output: dict[str, Any]) -> dict[str, set[str]]:
    """By place, what was found."""
    kinds: defaultdict[str, set[str]] = defaultdict(set)
    for finding in output["findings"]:
        kinds[finding["place"]].add(finding["kind"])
    return dict(kinds)
