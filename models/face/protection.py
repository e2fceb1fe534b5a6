"""The protected template: an embedding, projected under the site's key, as signs.

The contract is docs/template.md, byte for byte the same on any machine. Revocable pseudonymisation, not
encryption: with the key, an attacker can rebuild much of an embedding from its template.
"""

from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import ArrayLike, NDArray

from models.contract.face_models import FaceModel

__all__ = ["FARTHEST_EPOCH", "KEY_BYTES", "SCALE", "Protector", "epoch_key", "equal_bits", "next_key", "to_scale"]

KEY_BYTES: Final = 32
SCALE: Final = 2**20
"""An embedding's number times this, rounded, is an integer; float32 keeps about as much."""
LAYOUT: Final = b"fairroll-t/2"
"""The name of the layout is the nonce of ChaCha20, so that another layout has another keystream."""
MODEL_INFO: Final = b"fairroll template "
"""Before a model's id: each model has a projection of its own under a site's key."""
EPOCH_INFO: Final = b"fairroll epoch"
FARTHEST_EPOCH: Final = 100_000
"""A new key every hour for eleven years; a request for more steps (about 5 us each) is a mistake."""
_LENGTH_TOLERANCE: Final = 1e-3
"""float32 keeps a unit vector of 512 numbers to about 1e-6."""


def next_key(key: bytes) -> bytes:
    """Step the site's chain: HKDF-SHA256 (RFC 5869) without salt. It cannot be inverted."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=EPOCH_INFO).derive(_checked_key(key))


def epoch_key(first_key: bytes, epoch: int) -> bytes:
    """Step `epoch` times: `first_key` is that of epoch 0; from a later key, pass the steps that are left."""
    if not 0 <= epoch <= FARTHEST_EPOCH:
        raise ValueError(f"epoch {epoch} is not within 0 to {FARTHEST_EPOCH}")
    key = _checked_key(first_key)
    for _ in range(epoch):
        key = next_key(key)
    return key


class Protector:
    """Makes templates under one key of one epoch, for one model.

    The key is not kept, but the rows made from it are as secret: drop the protector when the epoch ends.
    """

    def __init__(self, key: bytes, model: FaceModel, epoch: int = 0) -> None:
        self.model, self.epoch = model, epoch
        # Products and sums are integers below 2**53: float64 is exact in any order, and 6 times as fast as int64.
        self._rows = _signs(_checked_key(key), model)

    def protect(self, embedding: ArrayLike) -> bytes:
        """Return the template, model.bits long, of a unit vector of shape (model.dimensions,).

        Raises ValueError if it is not one: an embedding of zeros would match every face.
        """
        scaled = to_scale(_checked_embedding(embedding, self.model.dimensions))
        return np.packbits(self._rows @ scaled >= 0).tobytes()


def equal_bits(one: bytes, other: bytes) -> int:
    """Return the score of two templates: all bits for the same, about half for strangers or different keys."""
    return 8 * len(one) - (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


def to_scale(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return whole numbers: floor(x * SCALE + 0.5), in double precision (docs/template.md)."""
    return np.floor(vector * SCALE + 0.5)


def _signs(key: bytes, model: FaceModel) -> NDArray[np.float64]:
    """Return +1 and -1 of shape (model.bits, model.dimensions) from the keystream's bits, row by row."""
    shape = model.bits, model.dimensions
    own_key = HKDF(SHA256(), KEY_BYTES, salt=None, info=MODEL_INFO + model.id.encode()).derive(key)
    counter = bytes(4)
    cipher = Cipher(ChaCha20(own_key, counter + LAYOUT), mode=None)
    stream = cipher.encryptor().update(bytes(model.bits * model.dimensions // 8))
    bits = np.unpackbits(np.frombuffer(stream, dtype=np.uint8))
    return np.where(bits.reshape(shape) == 1, np.float64(1), np.float64(-1))


def _checked_key(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
    return key


def _checked_embedding(embedding: ArrayLike, dimensions: int) -> NDArray[np.float64]:
    vector = np.asarray(embedding, dtype=np.float32).astype(np.float64)
    if vector.shape != (dimensions,):
        raise ValueError(f"an embedding of this model has shape ({dimensions},), not {vector.shape}")
    length = float(np.linalg.norm(vector))
    if not abs(length - 1) <= _LENGTH_TOLERANCE:  # also false for NaN and infinity
        raise ValueError(f"an embedding is a unit vector of finite numbers; this one's length is {length}")
    return vector
