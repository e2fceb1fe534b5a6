"""The protected template: an embedding, centred and projected under the site's key, as 512 signs.

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
from models.contract.messages import TEMPLATE_BYTES
from models.face.centres import load_centre, to_scale

__all__ = ["FARTHEST_EPOCH", "KEY_BYTES", "Protector", "epoch_key", "equal_bits", "next_key"]

KEY_BYTES: Final = 32
BITS: Final = 8 * TEMPLATE_BYTES
LAYOUT: Final = b"fairroll-t/1"
"""The name of the layout is the nonce of ChaCha20, so that another layout has another keystream."""
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
    `centre` (integers at SCALE) is for calibration only; templates of another centre do not compare.
    """

    def __init__(
        self, key: bytes, model: FaceModel, epoch: int = 0, *, centre: NDArray[np.int64] | None = None
    ) -> None:
        self.model, self.epoch = model, epoch
        # Products and sums are integers below 2**53: float64 is exact in any order, and 6 times as fast as int64.
        self._centre = (load_centre(model) if centre is None else centre).astype(np.float64)
        self._rows = _signs(_checked_key(key), model.dimensions)

    def protect(self, embedding: ArrayLike) -> bytes:
        """Return the 64-byte template of a unit vector of shape (model.dimensions,).

        Raises ValueError if it is not one: an embedding of zeros would match every face.
        """
        scaled = to_scale(_checked_embedding(embedding, self.model.dimensions))
        return np.packbits(self._rows @ (scaled - self._centre) >= 0).tobytes()


def equal_bits(one: bytes, other: bytes) -> int:
    """Return the score of two templates: 512 for the same, about 256 for strangers or different keys."""
    return BITS - (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


def _signs(key: bytes, dimensions: int) -> NDArray[np.float64]:
    """Return +1 and -1 of shape (512, dimensions) from the keystream's bits, row by row."""
    counter = bytes(4)
    stream = Cipher(ChaCha20(key, counter + LAYOUT), mode=None).encryptor().update(bytes(BITS * dimensions // 8))
    bits = np.unpackbits(np.frombuffer(stream, dtype=np.uint8))
    return np.where(bits.reshape(BITS, dimensions) == 1, np.float64(1), np.float64(-1))


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
