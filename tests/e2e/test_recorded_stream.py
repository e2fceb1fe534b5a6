"""Live and replayed are one: Kafka's own record of the events, folded plainly, gives the decisions to the byte."""

import uuid
from collections import defaultdict

import pytest

from infra.local.stack import LocalStack
from models.contract.codec import encode
from models.contract.topics import Topics
from models.keys.key_files import PIPELINE_KEY, parse_key
from models.ledger.codec import decode_event, decode_outcome
from models.ledger.events import Record
from models.ledger.partition import Partition
from stream_processors.decider.ledger import Unseal, opened
from stream_processors.decider.outgoing import outgoing
from stream_processors.runtime.key_client import open_keys
from tests.e2e.pipeline_client import Kept, eventually, listen, records

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_plain_fold_of_the_recorded_events_gives_the_decisions_byte_for_byte(pipeline: LocalStack) -> None:
    settings = pipeline.settings
    async with listen(pipeline, "park", "window") as window:
        for kind in ("button", "staff", "button"):
            await window.ask({"kind": kind, "id": uuid.uuid4().hex})
    events = await records(settings, settings.topics.events)
    [number] = {event.partition for event in events if event.key == b"park"}
    mine = [event for event in events if event.partition == number]
    secret = parse_key((settings.secrets / PIPELINE_KEY).read_text(), PIPELINE_KEY)
    async with open_keys(settings, "decider") as keys:
        decisions, controls = _folded(mine, secret, keys, settings.topics)
    assert len(decisions) >= 3

    async def live() -> dict[int, list[bytes]]:
        return _by_event(
            [kept for kept in await records(settings, settings.topics.decisions) if kept.partition == number]
        )

    seen = await eventually(live, lambda received: decisions.keys() <= received.keys())
    for offset, expected in decisions.items():
        assert seen[offset][: len(expected)] == expected
    published = [kept.value for kept in await records(settings, settings.topics.controls) if kept.partition == number]
    assert list(dict.fromkeys(published)) == list(dict.fromkeys(controls))


def _folded(
    events: list[Kept], secret: bytes, keys: Unseal, topics: Topics
) -> tuple[dict[int, list[bytes]], list[bytes | None]]:
    """The decisions on each event, and every control."""
    partition = Partition(secret)
    decisions: defaultdict[int, list[bytes]] = defaultdict(list)
    controls: list[bytes | None] = []
    for kept in events:
        record = Record(offset=kept.offset, at=kept.at, event=opened(decode_event(kept.value), keys))
        for outcome in partition.fold(record).outcomes:
            sent = outgoing(outcome, topics, kept.partition)
            if sent.topic == topics.controls:
                controls.append(sent.value)
            elif sent.topic == topics.decisions:
                decisions[kept.offset].append(encode(outcome))
    return dict(decisions), controls


def _by_event(decisions: list[Kept]) -> dict[int, list[bytes]]:
    """A redelivered event is answered once more, after its first answers."""
    found: defaultdict[int, list[bytes]] = defaultdict(list)
    for kept in decisions:
        found[decode_outcome(kept.value).offset].append(kept.value)
    return dict(found)
