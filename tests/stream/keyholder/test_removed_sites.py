"""Chains of removed sites are destroyed, and no late or older control begins one again."""

import secrets
import time
from pathlib import Path
from typing import NamedTuple

from models.contract.codec import encode
from models.contract.messages import Control, Revision
from models.contract.site_records import Headers, revision_header
from stream_processors.keyholder.key_file import KeyFile
from stream_processors.keyholder.service import Clock, KeyHolder
from stream_processors.runtime.health import Health
from stream_processors.runtime.key_protocol import boot_ms


class Kept(NamedTuple):
    """A record as aiokafka returns it."""

    value: bytes | None
    headers: Headers = ()
    key: bytes = b"park"
    partition: int = 0
    offset: int = 0


def faces(at: int) -> Kept:
    control = Control(
        site="park",
        mode="face",
        revision=Revision(at, 0),
        policy="p",
        epoch=0,
        ration_cm=60,
        ration_budget_cm=600,
        window_s=540,
    )
    return Kept(encode(control))


def removal(at: int) -> Kept:
    return Kept(None, (revision_header(Revision(at, 0)),))


def holder(file: KeyFile | None = None) -> KeyHolder:
    clock = Clock(lambda: time.time_ns() // 1_000_000, boot_ms)
    return KeyHolder(file, clock, secrets.token_bytes, Health("keyholder", "1"))


def chain(holding: KeyHolder) -> str | None:
    facts = holding.facts().sites.get("park")
    return facts.chain if facts else None


def test_a_removal_destroys_the_chain_and_a_late_control_begins_none() -> None:
    holding = holder()
    holding.on_controls([faces(1)])
    assert chain(holding)
    holding.on_controls([removal(3)])
    assert chain(holding) is None
    assert holding.facts().sites["park"].mode == "removed"
    holding.on_controls([faces(2)])
    assert chain(holding) is None
    holding.on_controls([faces(4)])
    assert chain(holding)


def test_a_holder_that_starts_again_keeps_the_chain_of_a_site_that_came_back(memory: Path) -> None:
    file = KeyFile(memory / "chains")
    before = holder(file)
    before.on_controls([faces(1), removal(3), faces(4)])
    after = holder(file)
    after.resume()
    for record in (faces(1), removal(3), faces(4)):
        after.on_controls([record])
        assert chain(after) == chain(before)


def test_a_chain_of_a_site_that_kafka_knows_no_more_is_destroyed(memory: Path) -> None:
    file = KeyFile(memory / "chains")
    holder(file).on_controls([faces(1)])
    after = holder(file)
    after.resume()
    assert chain(after)
    after.on_controls([])
    after.destroy_strangers()
    assert chain(after) is None
