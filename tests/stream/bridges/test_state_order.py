"""Which states an ingress appends again, so that the newest of each dispenser comes last."""

import random
from typing import NamedTuple

from models.contract.codec import decode_state, encode
from models.contract.messages import DeviceState
from stream_processors.ingress.state_order import StateOrder
from stream_processors.runtime.health import Health


class Kept(NamedTuple):
    """A record as aiokafka gives it."""

    key: bytes
    value: bytes | None
    partition: int = 0
    offset: int = 0


def kept(sequence: int, device: str = "gate") -> Kept:
    return Kept(f"park/{device}".encode(), encode(DeviceState(online=True, sequence=sequence)))


def again(order: StateOrder, *records: Kept) -> dict[str, int]:
    found = order.follow(records, Health("ingress", "1"))
    return {key: decode_state(value).sequence for key, value in found.items()}


def test_what_is_in_order_is_not_appended_again() -> None:
    order = StateOrder()
    assert again(order, kept(2), kept(3), kept(3), kept(2, "door")) == {}
    assert again(order, kept(4)) == {}


def test_behind_an_outdated_state_the_newest_is_appended_again() -> None:
    order = StateOrder()
    assert again(order, kept(3), kept(2)) == {"park/gate": 3}
    assert again(order, kept(3)) == {}
    assert again(order, kept(2), kept(9)) == {}


def test_a_removed_dispenser_is_not_brought_back() -> None:
    order = StateOrder()
    assert again(order, kept(3), kept(2), Kept(b"park/gate", None)) == {}
    assert again(order, kept(2)) == {}


def test_what_cannot_be_read_is_named_and_passed_over() -> None:
    order, health = StateOrder(), Health("ingress", "1")
    assert order.follow([Kept(b"park/gate", b"torn"), Kept(b"", b"{}")], health) == {}
    vitals = health.vitals()
    assert vitals.counts["unreadable"] == 2
    assert vitals.last_fault
    assert vitals.last_fault.text.startswith("unreadable state at 0/0: ")


def test_the_last_record_is_the_newest_whatever_two_ingresses_append_in_whatever_order() -> None:
    for seed in range(50):
        log = [kept(number) for number in random.Random(seed).sample(range(2, 12), 10)]
        one, other = StateOrder(), StateOrder()
        for _ in range(5):
            seen = log[:]
            for order in (one, other):
                log += [Kept(key.encode(), value) for key, value in order.follow(seen, Health("i", "1")).items()]
        value = log[-1].value
        assert value
        assert decode_state(value).sequence == 11
