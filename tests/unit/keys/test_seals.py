"""The seal chain: round trips, bindings, and no way back."""

import hmac

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from models.keys.seals import MOST_STEPS, Keyring, Sealed, SealKey, binding

NOW = 29_925_441
ENTROPY = bytes(range(40))
NONCE = b"n" * 12
TEMPLATE = b"t" * 64
BINDING = binding("park", "gate", "request-00000001")
FIRST = SealKey.first(NOW, ENTROPY)


def ring(key: SealKey = FIRST, site: str = "park") -> Keyring:
    keys = Keyring()
    keys.put(site, key)
    return keys


def sealed_at(minute: int, key: SealKey = FIRST) -> Sealed:
    sealed = ring(key).seal("park", TEMPLATE, BINDING, minute, NONCE)
    assert sealed
    return sealed


def from_json(sealed: Sealed) -> Sealed:
    return msgspec.json.decode(msgspec.json.encode(sealed), type=Sealed)


@given(
    entropy=st.binary(min_size=40, max_size=40),
    first=st.integers(0, 2**40),
    held=st.integers(0, 50),
    later=st.integers(0, 50),
    template=st.binary(min_size=64, max_size=64),
    nonce=st.binary(min_size=12, max_size=12),
    names=st.tuples(st.text(), st.text(), st.text()),
)
def test_what_was_sealed_is_unsealed_by_every_key_up_to_its_minute(
    *,
    entropy: bytes,
    first: int,
    held: int,
    later: int,
    template: bytes,
    nonce: bytes,
    names: tuple[str, str, str],
) -> None:
    key, bound = SealKey.first(first, entropy), binding(*names)
    minute = first + held + later
    sealed = ring(key.at(minute)).seal("park", template, bound, minute, nonce)
    assert sealed
    decider = ring(key.at(first + held))
    assert decider.covers("park", sealed)
    assert decider.unseal("park", from_json(sealed), bound) == template
    assert template not in sealed.box


@given(st.integers(1, 30), st.integers(0, 100))
def test_a_key_opens_nothing_that_was_sealed_before_its_minute(before: int, after: int) -> None:
    sealed = sealed_at(NOW + 30 - before)
    later = ring(FIRST.at(NOW + 30))
    later.destroy_before("park", NOW + 30 + after)
    assert not later.covers("park", sealed)
    assert later.unseal("park", sealed, BINDING) is None
    with pytest.raises(ValueError, match="is not within"):
        FIRST.at(NOW + 30).at(sealed.minute)


def test_an_older_sealed_template_does_not_open_under_a_later_minute() -> None:
    """Rewriting the minute of a seal does not open it: the keys differ, and the minute is bound."""
    sealed = sealed_at(NOW)
    moved = msgspec.structs.replace(sealed, minute=NOW + 5)
    assert ring(FIRST.at(NOW + 5)).unseal("park", moved, BINDING) is None
    assert ring().unseal("park", moved, BINDING) is None


@pytest.mark.parametrize(
    "other",
    [
        binding("gate", "park", "request-00000001"),
        binding("park", "gate2", "request-00000001"),
        binding("park", "gate", "request-00000002"),
        binding("parkg", "ate", "request-00000001"),
        binding('park","gate', "", "request-00000001"),
    ],
)
def test_a_template_belongs_to_one_site_device_and_request(other: bytes) -> None:
    assert ring().unseal("park", sealed_at(NOW), other) is None


@given(st.data())
def test_a_changed_bit_is_noticed(data: st.DataObject) -> None:
    sealed = sealed_at(NOW)
    bit = data.draw(st.integers(0, 8 * len(sealed.box) - 1))
    box = bytearray(sealed.box)
    box[bit // 8] ^= 1 << bit % 8
    changed = msgspec.structs.replace(sealed, box=bytes(box))
    assert ring().unseal("park", changed, BINDING) is None


def test_another_chain_opens_nothing_even_of_the_same_key() -> None:
    sealed = sealed_at(NOW)
    other = msgspec.structs.replace(FIRST, chain="0" * 16)
    assert not ring(other).covers("park", sealed)
    assert ring(other).unseal("park", msgspec.structs.replace(sealed, chain="0" * 16), BINDING) is None


def test_a_site_without_a_chain_seals_and_opens_nothing() -> None:
    keys, sealed = ring(), sealed_at(NOW)
    keys.put("park", None)
    assert keys.seal("park", TEMPLATE, BINDING, NOW, NONCE) is None
    assert keys.unseal("park", sealed, BINDING) is None
    assert not keys.covers("park", sealed)
    assert keys.since("park") is None
    assert list(keys) == []


def test_an_older_key_of_the_same_chain_brings_nothing_back() -> None:
    keys = ring(FIRST.at(NOW + 3))
    keys.put("park", FIRST)
    assert keys.since("park") == NOW + 3
    assert not keys.covers("park", sealed_at(NOW + 2))
    keys.put("park", FIRST.at(NOW + 4))
    assert keys.since("park") == NOW + 4


def test_a_new_chain_replaces_the_old_one() -> None:
    keys, new = ring(), SealKey.first(NOW - 2, bytes(40))
    keys.put("park", new)
    assert not keys.covers("park", sealed_at(NOW))
    assert keys.unseal("park", sealed_at(NOW, new), BINDING) == TEMPLATE


def test_keys_of_one_site_are_no_other_s() -> None:
    keys = ring()
    assert keys.unseal("gate", sealed_at(NOW), BINDING) is None
    assert keys.seal("gate", TEMPLATE, BINDING, NOW, NONCE) is None


def test_nothing_is_sealed_for_a_minute_that_has_gone_or_is_far_off() -> None:
    keys = ring()
    for minute in (NOW - 1, NOW + MOST_STEPS):
        assert keys.seal("park", TEMPLATE, BINDING, minute, NONCE) is None
    assert not keys.covers("park", msgspec.structs.replace(sealed_at(NOW), minute=2**53))


@given(st.lists(st.tuples(st.sampled_from(["seal", "forget"]), st.integers(0, 60)), max_size=30))
def test_a_keyring_reads_what_one_key_says_whatever_it_was_asked_before(steps: list[tuple[str, int]]) -> None:
    """Its keys of minutes are kept as they are asked for, in any order; the outcome is that of the chain alone."""
    keys, oldest = ring(), NOW
    for step, ahead in steps:
        minute = NOW + ahead
        if step == "forget":
            keys.destroy_before("park", minute)
            oldest = max(oldest, minute)
        sealed = sealed_at(minute)
        expected = TEMPLATE if minute >= oldest else None
        assert keys.unseal("park", sealed, BINDING) == expected
        assert (keys.seal("park", TEMPLATE, BINDING, minute, NONCE) == sealed) is (expected is not None)
        assert keys.since("park") == oldest


def test_stepping_far_is_as_stepping_often_and_too_far_is_refused() -> None:
    once, often = FIRST.at(NOW + 9), FIRST
    for minute in range(NOW, NOW + 10):
        often = often.at(minute)
    assert once == often
    with pytest.raises(ValueError, match="is not within 100000"):
        FIRST.at(NOW + MOST_STEPS + 1)
    keys = ring()
    keys.destroy_before("park", NOW + MOST_STEPS + 1)
    assert keys.since("park") is None


def test_the_chain_is_what_rfc_5869_makes_of_it() -> None:
    """By Python's own HMAC: extract without a salt, expand one block."""

    def hkdf(key: bytes, info: bytes) -> bytes:
        return hmac.digest(hmac.digest(bytes(32), key, "sha256"), info + b"\x01", "sha256")

    assert FIRST.chain == ENTROPY[:8].hex()
    assert FIRST.at(NOW + 2).key == hkdf(hkdf(ENTROPY[8:], b"fairroll seal chain"), b"fairroll seal chain")
    sealed = sealed_at(NOW)
    bound = b"fairroll-s/1" + ENTROPY[:8] + NOW.to_bytes(8, "big") + b'["park","gate","request-00000001"]'
    cipher = ChaCha20Poly1305(hkdf(ENTROPY[8:], b"fairroll seal key"))
    assert cipher.decrypt(sealed.box[:12], sealed.box[12:], bound) == TEMPLATE


def test_a_key_is_not_shown() -> None:
    shown = f"{FIRST} {FIRST!r} {[FIRST]} {ring()!r}"
    assert FIRST.key.hex() not in shown
    assert repr(FIRST.key) not in shown


@pytest.mark.parametrize(
    "wrong",
    [
        ["0" * 15, NOW, "A" * 40],
        ["0" * 15 + "G", NOW, "A" * 40],
        ["0" * 16, -1, "A" * 40],
        ["0" * 16, NOW, "A" * 36],
        ["0" * 16, NOW, "A" * 2000],
        ["0" * 16, NOW],
    ],
)
def test_what_is_no_sealed_template_is_refused_when_it_is_read(wrong: list[object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(wrong), type=Sealed)


def test_wrong_lengths_are_a_programmer_s_error() -> None:
    with pytest.raises(ValueError, match="a chain is made of 40"):
        SealKey.first(NOW, bytes(32))
    with pytest.raises(ValueError, match="a nonce has 12"):
        ring().seal("park", TEMPLATE, BINDING, NOW, bytes(8))
