"""Records that another version wrote stop no operator: they are left out and named."""

from typing import NamedTuple

import pytest

from infra.hold.hold import Confirmations
from infra.readable_records import newest_controls, newest_states, readable
from models.contract.codec import encode
from models.contract.messages import Control, DeviceState
from models.ledger.codec import decode_outcome
from models.ledger.outcomes import Resumed

SLEEPS = b'{"online":true,"mode":"sleep"}'
HELD = Control(
    site="park", mode="held", policy="0123456789ab", epoch=3, ration_cm=60, ration_budget_cm=6000, window_s=540
)


class Kept(NamedTuple):
    """A record as aiokafka gives it."""

    key: bytes | None
    value: bytes | None
    offset: int = 7
    partition: int = 2
    topic: str = "fairroll.states"
    timestamp: int = 5_000
    headers: tuple[tuple[str, bytes], ...] = ()


def state(online: bool = True, mode: str = "button", sequence: int = 0) -> bytes:  # noqa: FBT002 - a shorthand
    return encode({"online": online, "mode": mode, "sequence": sequence})


def test_a_state_that_cannot_be_read_is_named_and_every_other_one_is_read() -> None:
    unreadable: list[str] = []
    records = [Kept(b"park/gate", SLEEPS), Kept(b"park/door", state()), Kept(b"park/wall", None), Kept(b"\xff", b"{}")]
    found = newest_states(records, unreadable)
    assert {name: (dated.state, dated.at) for name, dated in found.items()} == {
        "park/door": (DeviceState(online=True), 5.0)
    }
    assert unreadable[0].startswith("fairroll.states/2/7 (park/gate): Invalid enum value 'sleep'")
    assert unreadable[1] == "fairroll.states/2/7: its key is no site/device"


def test_a_tombstone_removes_a_dispenser_and_a_site() -> None:
    states = newest_states([Kept(b"park/gate", state()), Kept(b"park/gate", None)], [])
    controls = newest_controls([Kept(b"park", encode(HELD)), Kept(b"park", None)], [])
    assert (states, dict(controls)) == ({}, {"park": None})


def test_an_outdated_state_does_not_count() -> None:
    records = [Kept(b"park/gate", state(sequence=9)), Kept(b"park/gate", state(online=False, sequence=8))]
    assert newest_states(records, [])["park/gate"].state.online


def test_a_receipt_that_cannot_be_read_is_named_and_the_others_are_listed() -> None:
    unreadable: list[str] = []
    resumed = Resumed(site="park", offset=1, at=2, mode="face")
    records = [Kept(b"park", b'{"kind":"moved"}'), Kept(b"park", encode(resumed)), Kept(b"park", None)]
    assert list(readable(records, lambda record: decode_outcome(record.value or b""), unreadable)) == [resumed]
    assert len(unreadable) == 2


@pytest.mark.parametrize("key", [b"x" * 131, b"two\nlines", b"\x1b[2J"])
def test_a_key_that_is_no_name_is_not_quoted(key: bytes) -> None:
    unreadable: list[str] = []
    newest_states([Kept(key, state())], unreadable)
    assert unreadable == ["fairroll.states/2/7: its key is no site/device"]


def test_a_hold_is_followed_past_states_that_cannot_be_read() -> None:
    following, unreadable = Confirmations({"park": "held"}), list[str]()
    records = [Kept(b"park/gate", SLEEPS), Kept(b"park/door", state(mode="button")), Kept(b"park/wall", None)]
    following.take(records, 0.1, unreadable)
    assert (following.confirmed, following.waiting, len(unreadable)) == ({}, {"park/door"}, 1)
    following.take([Kept(b"park/door", state(mode="held"))], 0.4, unreadable)
    assert (following.confirmed, following.waiting) == ({"park": {"door": 0.4}}, set())
