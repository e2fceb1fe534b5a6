"""The newest state of a dispenser, of records in any order."""

import pytest

from models.contract.codec import encode
from models.contract.messages import DeviceState
from models.contract.states import States
from models.errors import MalformedMessage

KEY = b"park/gate"


def state(sequence: int, *, online: bool = True) -> bytes:
    return encode(DeviceState(online=online, sequence=sequence))


def taken(states: States, value: bytes | None) -> bool:
    return states.take(KEY, value) is not None


def test_the_state_with_the_highest_sequence_is_the_newest() -> None:
    states = States()
    assert [taken(states, state(number)) for number in (5, 7, 6, 7, 9, 8)] == [True, True, False, True, True, False]
    assert states["park/gate"].sequence == 9


def test_an_unnumbered_state_is_always_accepted() -> None:
    states = States()
    assert all(taken(states, state(number)) for number in (7, 0, 0, 3))


def test_a_dispenser_without_its_journal_starts_with_number_1() -> None:
    states = States()
    assert all(taken(states, state(number)) for number in (7_000_002, 1, 2, 1_000_000, 1_000_001))


def test_a_removed_dispenser_returns_with_any_state() -> None:
    states = States()
    taken(states, state(7))
    assert taken(states, None)
    assert dict(states) == {}
    assert taken(states, state(3))


@pytest.mark.parametrize("key", [None, b"park", b"park/gate/state", b"park/\xff", b"Park/gate"])
def test_a_key_that_names_no_dispenser_cannot_be_read(key: bytes | None) -> None:
    with pytest.raises(MalformedMessage):
        States().take(key, state(1))


def test_a_state_that_cannot_be_read_changes_nothing() -> None:
    states = States()
    taken(states, state(7))
    with pytest.raises(MalformedMessage):
        states.take(KEY, b'{"online":true,"mode":"sleep"}')
    assert states["park/gate"].sequence == 7
