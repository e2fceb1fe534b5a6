"""Signed controls, and the vectors that a builder of a dispenser tests with."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from devices.session.security import read_control
from models.contract.codec import decode_control, encode
from models.contract.messages import Control, Revision
from models.errors import MalformedMessage
from models.pki.control_signatures import sign_control, verified_control

_VECTORS = json.loads((Path(__file__).parents[3] / "docs" / "control-vectors.json").read_text())
_KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(_VECTORS["private_key"]))
_TOPIC = "fairroll/v1/park/control"
_CONTROL = encode(
    Control(
        site="park",
        mode="face",
        revision=Revision(1_795_683_600_000, 10_482),
        policy="41ae3a6be759",
        epoch=12,
        ration_cm=60,
        ration_budget_cm=6000,
        window_s=540,
        sign='Press "face", or the button}',
    )
)
_SIGNED = sign_control(_KEY, _TOPIC, _CONTROL)


def other_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes(32))


def public(*keys: Ed25519PrivateKey) -> list[Ed25519PublicKey]:
    return [key.public_key() for key in keys]


@pytest.mark.parametrize("vector", _VECTORS["vectors"], ids=lambda vector: vector["why"])
def test_vectors(vector: dict[str, str]) -> None:
    keys = [Ed25519PublicKey.from_public_bytes(bytes.fromhex(_VECTORS["public_key"]))]
    payload = vector["payload"].encode()
    if vector["control"]:
        assert verified_control(keys, vector["topic"], payload) == vector["control"].encode()
        assert sign_control(_KEY, vector["topic"], vector["control"].encode()) == payload
    else:
        with pytest.raises(MalformedMessage):
            verified_control(keys, vector["topic"], payload)


def test_a_signed_control_reads_as_the_control_for_those_who_do_not_verify() -> None:
    assert decode_control(_SIGNED) == decode_control(_CONTROL)
    assert len(_SIGNED) == len(_CONTROL) + 103


@given(st.integers(0, len(_SIGNED) - 1), st.integers(1, 255))
def test_no_byte_can_be_changed(place: int, difference: int) -> None:
    changed = bytearray(_SIGNED)
    changed[place] ^= difference
    with pytest.raises(MalformedMessage):
        read_control(bytes(changed), _TOPIC, "park", public(_KEY))


@given(st.binary(max_size=300))
def test_other_bytes_are_no_signed_control(payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        read_control(payload, _TOPIC, "park", public(_KEY))


@pytest.mark.parametrize(
    ("payload", "topic", "why"),
    [
        (_CONTROL, _TOPIC, "not signed"),
        (b"", _TOPIC, "not signed"),
        (sign_control(other_key(), _TOPIC, _CONTROL), _TOPIC, "no key that this dispenser trusts"),
        (_SIGNED, "staging/v1/park/control", "no key that this dispenser trusts"),
        (_SIGNED, "fairroll/v1/hall/control", "no key that this dispenser trusts"),
        (_SIGNED[:-1] + b',"mode":"held"}', _TOPIC, "not signed"),
    ],
)
def test_a_control_that_is_not_signed_for_its_topic_does_not_count(payload: bytes, topic: str, why: str) -> None:
    with pytest.raises(MalformedMessage, match=why):
        read_control(payload, topic, "park", public(_KEY))


def test_a_control_of_another_site_does_not_count_though_it_is_signed() -> None:
    topic = "fairroll/v1/hall/control"
    with pytest.raises(MalformedMessage, match="names another site: park"):
        read_control(sign_control(_KEY, topic, _CONTROL), topic, "hall", public(_KEY))


def test_during_a_rollover_both_keys_count() -> None:
    both = public(other_key(), _KEY)
    for key in (_KEY, other_key()):
        assert read_control(sign_control(key, _TOPIC, _CONTROL), _TOPIC, "park", both) == decode_control(_CONTROL)


def test_without_keys_an_unsigned_control_counts() -> None:
    assert read_control(_CONTROL, _TOPIC, "park", None) == decode_control(_CONTROL)
    with pytest.raises(MalformedMessage):
        read_control(_SIGNED, _TOPIC, "park", [])
