import json
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from msgspec import structs
from numpy.typing import NDArray

from models.contract.face_models import FaceModel, face_model
from models.face import protection
from models.face.protection import Protector, epoch_key, equal_bits, next_key
from tests.unit.face import naive_template

DLIB, SYNTHETIC = face_model("dlib-resnet/1"), face_model("synthetic/1")
KEY = bytes(range(32))
Embedding = NDArray[np.float32]
VECTORS = json.loads((Path(__file__).parents[3] / "docs/template-vectors.json").read_text())


def unit(vector: NDArray[np.floating]) -> Embedding:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def random_unit(seed: int, dimensions: int) -> Embedding:
    return unit(np.random.default_rng(seed).standard_normal(dimensions))


def test_naive_chacha20_gives_the_block_of_rfc_8439() -> None:
    block = naive_template.chacha20_block(KEY, 1, bytes.fromhex("000000090000004a00000000"))
    assert block.hex() == (
        "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
        "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
    )


@pytest.mark.parametrize("vector", VECTORS["templates"], ids=lambda vector: vector["note"])
def test_both_implementations_give_the_documented_template(vector: dict[str, Any]) -> None:
    key, raw = bytes.fromhex(vector["key"]), bytes.fromhex(vector["embedding"])
    numbers = struct.unpack(f"<{len(raw) // 4}f", raw)
    model = structs.replace(SYNTHETIC, id=vector["model"], bits=vector["bits"], dimensions=len(numbers), centre=())
    protector = Protector(key, model)
    assert naive_template.template(key, model.id, model.bits, numbers).hex() == vector["template"]
    assert protector.protect(np.frombuffer(raw, dtype="<f4")).hex() == vector["template"]


@pytest.mark.parametrize("vector", VECTORS["chain"], ids=lambda vector: f"epoch {vector['epoch']}")
def test_both_implementations_step_to_the_documented_key(vector: dict[str, Any]) -> None:
    key = bytes.fromhex(vector["first_key"])
    assert epoch_key(key, vector["epoch"]).hex() == vector["key"]
    for _ in range(vector["epoch"]):
        key = naive_template.next_key(key)
    assert key.hex() == vector["key"]


def test_first_vector_is_the_one_that_the_page_describes() -> None:
    first = VECTORS["templates"][0]
    size = np.float32(1 / np.sqrt(128))
    numbers = [-size if i % 3 == 0 else size for i in range(128)]
    assert (first["key"], first["model"], first["bits"]) == (KEY.hex(), "dlib-resnet/1", 512)
    assert first["embedding"] == struct.pack("<128f", *numbers).hex()


@settings(max_examples=25)
@given(key=st.binary(min_size=32, max_size=32), seed=st.integers(0, 2**32), words=st.integers(8, 12))
def test_implementations_agree_on_anything(key: bytes, seed: int, words: int) -> None:
    embedding, model = random_unit(seed, 128), structs.replace(DLIB, bits=64 * words)
    ours = Protector(key, model).protect(embedding)
    assert ours == naive_template.template(key, model.id, model.bits, embedding.tolist())


def test_sum_is_exact_where_single_precision_would_not_be() -> None:
    embedding = random_unit(7, 512)
    signs = protection._signs(KEY, SYNTHETIC)  # noqa: SLF001 - the rows themselves, to add them up in integers
    scaled = np.floor(embedding.astype(np.float64) * 2**20 + 0.5).astype(np.int64)
    expected = np.packbits(signs.astype(np.int64) @ scaled >= 0).tobytes()
    assert Protector(KEY, SYNTHETIC).protect(embedding) == expected


def test_key_has_as_many_ones_as_zeros_and_nothing_of_it_is_kept() -> None:
    protector = Protector(KEY, SYNTHETIC)
    assert abs(protection._signs(KEY, SYNTHETIC).mean()) < 0.01  # noqa: SLF001 - a biased keystream shows nowhere else
    assert not any(isinstance(value, bytes) for value in vars(protector).values())


@given(arrays(np.float32, st.sampled_from([0, 1, 127, 128, 129]), elements=st.floats(width=32)))
def test_what_is_no_unit_vector_is_refused(embedding: Embedding) -> None:
    length = np.linalg.norm(embedding.astype(np.float64))
    if embedding.shape == (128,) and abs(length - 1) <= 1e-3:
        return
    with pytest.raises(ValueError, match="an embedding"):
        Protector(KEY, DLIB).protect(embedding)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_is_refused(bad: float) -> None:
    embedding = random_unit(1, 128)
    embedding[64] = bad
    with pytest.raises(ValueError, match="unit vector of finite numbers"):
        Protector(KEY, DLIB).protect(embedding)


@pytest.mark.parametrize("key", [b"", b"x" * 31, b"x" * 33])
def test_key_of_another_length_is_refused(key: bytes) -> None:
    for use in (lambda: next_key(key), lambda: epoch_key(key, 0), lambda: Protector(key, DLIB)):
        with pytest.raises(ValueError, match="32 bytes"):
            use()


@pytest.mark.parametrize("epoch", [-1, 100_001, 2**53])
def test_epoch_that_no_chain_reaches_is_refused_at_once(epoch: int) -> None:
    with pytest.raises(ValueError, match="epoch"):
        epoch_key(KEY, epoch)


def test_steps_can_be_taken_one_by_one_or_all_at_once() -> None:
    keys = [epoch_key(KEY, epoch) for epoch in range(5)]
    assert len(set(keys)) == 5
    assert all(next_key(one) == other for one, other in pairwise(keys))
    assert epoch_key(keys[2], 2) == keys[4]


def test_score_counts_equal_bits() -> None:
    template = Protector(KEY, DLIB).protect(random_unit(2, 128))
    opposite = bytes(255 - byte for byte in template)
    assert equal_bits(template, template) == DLIB.bits
    assert equal_bits(template, opposite) == 0
    assert equal_bits(template, bytes([template[0] ^ 1]) + template[1:]) == DLIB.bits - 1


@pytest.mark.parametrize("model", [DLIB, SYNTHETIC], ids=lambda model: model.id)
def test_same_face_under_two_keys_is_as_far_apart_as_two_strangers(model: FaceModel) -> None:
    embedding = random_unit(3, model.dimensions)
    templates = [Protector(epoch_key(KEY, n), model).protect(embedding) for n in range(60)]
    scores = np.array([equal_bits(a, b) for i, a in enumerate(templates) for b in templates[:i]])
    assert abs(scores.mean() / model.bits - 1 / 2) < 0.004
    assert scores.std() < 0.62 * model.bits**0.5  # half of the root for fair coins
    assert scores.max() < 0.62 * model.bits


def test_synthetic_thresholds_hold_for_the_model_that_they_came_from() -> None:
    rng, protector = np.random.default_rng(4), Protector(KEY, SYNTHETIC)
    people = [unit(rng.standard_normal(512)) for _ in range(600)]
    again = [_look(rng, person) for person in people]
    first, second = ([protector.protect(each) for each in group] for group in (people, again))
    known = np.array([equal_bits(a, b) for a, b in zip(first, second, strict=True)])
    strangers = np.array([equal_bits(a, b) for i, a in enumerate(first) for b in second[:i]])
    print(f"synthetic: missed {(known < SYNTHETIC.least_threshold).mean():.4f}, strangers up to {strangers.max()}")
    assert (known < SYNTHETIC.least_threshold).mean() <= 0.01
    assert strangers.max() < SYNTHETIC.least_threshold


def _look(rng: np.random.Generator, person: Embedding) -> Embedding:
    cosine = np.clip(rng.normal(0.75, 0.08), -1, 1)
    aside = rng.standard_normal(512)
    aside -= (aside @ person) * person
    return unit(cosine * person + np.sqrt(1 - cosine**2) * unit(aside))


def test_two_models_of_one_site_have_projections_of_their_own() -> None:
    other = structs.replace(DLIB, id="other/1")
    embedding = random_unit(2, 128)
    score = equal_bits(Protector(KEY, DLIB).protect(embedding), Protector(KEY, other).protect(embedding))
    assert abs(score / DLIB.bits - 1 / 2) < 0.1
