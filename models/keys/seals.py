"""The seal chain: a template at rest is encrypted under a key of its minute, and that key is destroyed when it expires.

A site's chain has one key a minute. HKDF-SHA256 (RFC 5869, without salt) derives the next minute's key and, as another
branch, the key that seals; neither can be inverted. The holder of a minute's key can read what was sealed from that
minute on, and what was sealed before the oldest existing key cannot be read.

Limits of overwriting: a `Keyring` overwrites its bytearrays, but Python, msgspec and OpenSSL make copies (a `SealKey`'s
bytes, a cipher's state) that stay until their memory is reused, usually seconds later, without a bound. A dump of the
process's memory may contain one (docs/seal-chain.md).
"""

import struct
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Meta, Struct

__all__ = ["ENTROPY_BYTES", "KEY_BYTES", "MOST_STEPS", "NONCE_BYTES", "Keyring", "SealKey", "Sealed", "binding"]

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
"""96 random bits: with a thousand seals a minute, two nonces of one key collide once in 10**23 minutes."""
MOST_STEPS: Final = 100_000
"""Most minutes that a key is stepped, 69 days; no template lives that long."""
_REACH: Final = 2 * 1440
"""Most minutes that a keyring derives ahead, twice the longest window; it bounds a wrong minute's cost to 60 ms."""
_CHAIN_BYTES: Final = 8
ENTROPY_BYTES: Final = _CHAIN_BYTES + KEY_BYTES
"""random bytes of a new chain"""
_TAG_BYTES: Final = 16
_FORMAT: Final = b"fairroll-s/1"
_NEXT, _SEAL = b"fairroll seal chain", b"fairroll seal key"

_ChainId = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
_Minute = Annotated[int, Meta(ge=0, le=2**53)]
"""since 1970, by the key holder's clock"""
_Key = Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
_Box = Annotated[bytes, Meta(min_length=NONCE_BYTES + _TAG_BYTES, max_length=1024)]


class Sealed(Struct, frozen=True, array_like=True):
    """A template at rest: readable with its chain's key of that minute or an earlier one."""

    chain: _ChainId
    minute: _Minute
    box: _Box
    """nonce, ciphertext and tag of ChaCha20-Poly1305 (RFC 8439)"""


class SealKey(Struct, frozen=True):
    """A chain's key of a minute: later keys can be derived from it, earlier ones cannot."""

    chain: _ChainId
    minute: _Minute
    key: _Key

    @classmethod
    def first(cls, minute: int, entropy: bytes) -> "SealKey":
        """Begin a chain at this minute from ENTROPY_BYTES random bytes; id and key are independent."""
        if len(entropy) != ENTROPY_BYTES:
            raise ValueError(f"a chain is made of {ENTROPY_BYTES} random bytes, not {len(entropy)}")
        return cls(entropy[:_CHAIN_BYTES].hex(), minute, entropy[_CHAIN_BYTES:])

    def at(self, minute: int) -> "SealKey":
        """Derive the key of this minute. Raises ValueError for an earlier minute or more than MOST_STEPS later."""
        if not 0 <= minute - self.minute <= MOST_STEPS:
            raise ValueError(f"minute {minute} is not within {MOST_STEPS} after {self.minute}")
        key = bytearray(self.key)
        for _ in range(minute - self.minute):
            _step(key)
        return SealKey(self.chain, minute, bytes(key))

    def __repr__(self) -> str:
        return f"SealKey(chain={self.chain!r}, minute={self.minute})"

    __str__ = __repr__


def binding(site: str, device: str, request_id: str) -> bytes:
    """Return the associated data of a seal: it cannot be opened for another site, device or request."""
    return msgspec.json.encode([site, device, request_id])


class Keyring:
    """The keys that a process holds, by site. In memory, without a clock, not thread-safe."""

    def __init__(self) -> None:
        self._chains: dict[str, _Chain] = {}

    def put(self, site: str, key: SealKey | None) -> None:
        """Hold the site's chain from this minute on; None destroys it (the site is held or unknown).

        A later key of the same chain destroys the earlier ones; an earlier one changes nothing.
        """
        chain = self._chains.get(site)
        if key and chain and chain.id == key.chain:
            self.destroy_before(site, key.minute)
            return
        if chain:
            del self._chains[site]
            chain.wipe()
        if key:
            self._chains[site] = _Chain(key)

    def destroy_before(self, site: str, minute: int) -> None:
        """Destroy the keys of earlier minutes. It needs no key holder, so keys expire while that is unreachable."""
        chain = self._chains.get(site)
        if chain and minute - chain.oldest > MOST_STEPS:
            self.put(site, None)
        elif chain:
            chain.destroy_before(minute)

    def since(self, site: str) -> int | None:
        """Return the oldest minute whose key is held; None: no chain."""
        chain = self._chains.get(site)
        return chain.oldest if chain else None

    def __iter__(self) -> Iterator[str]:
        """Iterate over the sites that have a chain."""
        return iter(tuple(self._chains))

    def covers(self, site: str, sealed: Sealed) -> bool:
        """Return whether the key of that chain and minute is held or can be derived."""
        chain = self._chains.get(site)
        return chain is not None and chain.covers(sealed)

    def seal(self, site: str, template: bytes, binding: bytes, minute: int, nonce: bytes) -> Sealed | None:
        """Seal under the key of this minute; None if it is not held. `nonce`: NONCE_BYTES random bytes."""
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"a nonce has {NONCE_BYTES} bytes, not {len(nonce)}")
        chain = self._chains.get(site)
        if chain is None or not chain.reaches(minute):
            return None
        cipher = ChaCha20Poly1305(chain.key(minute))
        return Sealed(chain.id, minute, nonce + cipher.encrypt(nonce, template, _bound(chain.id, minute, binding)))

    def unseal(self, site: str, sealed: Sealed, binding: bytes) -> bytes | None:
        """Return the template; None if its key is not held or it was sealed for another binding."""
        chain = self._chains.get(site)
        if chain is None or not chain.covers(sealed):
            return None
        cipher = ChaCha20Poly1305(chain.key(sealed.minute))
        nonce, box = sealed.box[:NONCE_BYTES], sealed.box[NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, box, _bound(sealed.chain, sealed.minute, binding))
        except InvalidTag:
            return None


class _Chain:
    """One site's keys from `oldest` on: derived ones, and the head from which later ones are derived."""

    def __init__(self, key: SealKey) -> None:
        self.id, self.oldest = key.chain, key.minute
        self._head_minute, self._head = key.minute, bytearray(key.key)
        self._keys: dict[int, bytearray] = {}

    def reaches(self, minute: int) -> bool:
        return 0 <= minute - self.oldest <= _REACH

    def covers(self, sealed: Sealed) -> bool:
        return sealed.chain == self.id and self.reaches(sealed.minute)

    def key(self, minute: int) -> bytearray:
        """Return the sealing key of a reachable minute. Deriving a day of keys takes some 30 ms, once."""
        while self._head_minute <= minute:
            self._keys[self._head_minute] = _derived(self._head, _SEAL)
            self._step()
        return self._keys[minute]

    def destroy_before(self, minute: int) -> None:
        for past in range(self.oldest, min(minute, self._head_minute)):
            _overwrite(self._keys.pop(past))
        while self._head_minute < minute:
            self._step()
        self.oldest = max(self.oldest, minute)

    def wipe(self) -> None:
        for key in (self._head, *self._keys.values()):
            _overwrite(key)

    def _step(self) -> None:
        _step(self._head)
        self._head_minute += 1


def _bound(chain: str, minute: int, binding: bytes) -> bytes:
    """The associated data; all before `binding` has a fixed length."""
    return _FORMAT + bytes.fromhex(chain) + struct.pack(">Q", minute) + binding


def _derived(key: bytearray, info: bytes) -> bytearray:
    derived = bytearray(KEY_BYTES)
    HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive_into(key, derived)
    return derived


def _step(key: bytearray) -> None:
    """Turn the chain's key of a minute into that of the next, in its place."""
    following = _derived(key, _NEXT)
    key[:] = following
    _overwrite(following)


def _overwrite(key: bytearray) -> None:
    key[:] = bytes(len(key))
