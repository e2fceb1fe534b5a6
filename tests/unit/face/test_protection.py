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
from numpy.typing import NDArray

from models.contract.face_models import FACE_MODELS, FaceModel, face_model
from models.errors import ConfigError
from models.face import protection
from models.face.centres import Centre, encode_centre, file_name, load_centre
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


def a_model(dimensions: int) -> FaceModel:
    return DLIB if dimensions == DLIB.dimensions else SYNTHETIC


def test_naive_chacha20_gives_the_block_of_rfc_8439() -> None:
    block = naive_template.chacha20_block(KEY, 1, bytes.fromhex("000000090000004a00000000"))
    assert block.hex() == (
        "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
        "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
    )


@pytest.mark.parametrize("vector", VECTORS["templates"], ids=lambda vector: vector["note"])
def test_both_implementations_give_the_documented_template(vector: dict[str, Any]) -> None:
    key, centre, raw = bytes.fromhex(vector["key"]), vector["centre"], bytes.fromhex(vector["embedding"])
    numbers = struct.unpack(f"<{len(centre)}f", raw)
    protector = Protector(key, a_model(len(centre)), centre=np.array(centre))
    assert naive_template.template(key, centre, numbers).hex() == vector["template"]
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
    assert (first["key"], set(first["centre"])) == (KEY.hex(), {0})
    assert first["embedding"] == struct.pack("<128f", *numbers).hex()


@settings(max_examples=25)
@given(key=st.binary(min_size=32, max_size=32), seed=st.integers(0, 2**32), reach=st.integers(0, 2**20))
def test_implementations_agree_on_anything(key: bytes, seed: int, reach: int) -> None:
    embedding = random_unit(seed, 128)
    centre = np.random.default_rng(seed).integers(-reach, reach, 128, endpoint=True)
    ours = Protector(key, DLIB, centre=centre).protect(embedding)
    assert ours == naive_template.template(key, centre.tolist(), embedding.tolist())


def test_sum_is_exact_where_single_precision_would_not_be() -> None:
    embedding = random_unit(7, 512)
    centre = np.full(512, 2**20)
    signs = protection._signs(KEY, 512)  # noqa: SLF001 - the rows themselves, to add them up in integers
    scaled = np.floor(embedding.astype(np.float64) * 2**20 + 0.5).astype(np.int64)
    expected = np.packbits(signs.astype(np.int64) @ (scaled - centre) >= 0).tobytes()
    assert Protector(KEY, SYNTHETIC, centre=centre).protect(embedding) == expected


def test_key_has_as_many_ones_as_zeros_and_nothing_of_it_is_kept() -> None:
    protector = Protector(KEY, SYNTHETIC)
    assert abs(protection._signs(KEY, 512).mean()) < 0.01  # noqa: SLF001 - a biased keystream shows nowhere else
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
    assert equal_bits(template, template) == 512
    assert equal_bits(template, opposite) == 0
    assert equal_bits(template, bytes([template[0] ^ 1]) + template[1:]) == 511


@pytest.mark.parametrize("model", [DLIB, SYNTHETIC], ids=lambda model: model.id)
def test_same_face_under_two_keys_is_as_far_apart_as_two_strangers(model: FaceModel) -> None:
    centre = np.zeros(model.dimensions, dtype=np.int64)
    embedding = random_unit(3, model.dimensions)
    templates = [Protector(epoch_key(KEY, n), model, centre=centre).protect(embedding) for n in range(60)]
    scores = np.array([equal_bits(a, b) for i, a in enumerate(templates) for b in templates[:i]])
    assert abs(scores.mean() - 256) < 2
    assert scores.std() < 14  # 11.3 for fair coins
    assert scores.max() < model.doubt


def test_synthetic_thresholds_hold_for_the_model_that_they_came_from() -> None:
    rng, protector = np.random.default_rng(4), Protector(KEY, SYNTHETIC)
    people = [unit(rng.standard_normal(512)) for _ in range(600)]
    again = [_look(rng, person) for person in people]
    first, second = ([protector.protect(each) for each in group] for group in (people, again))
    known = np.array([equal_bits(a, b) for a, b in zip(first, second, strict=True)])
    strangers = np.array([equal_bits(a, b) for i, a in enumerate(first) for b in second[:i]])
    print(f"synthetic: missed {(known < SYNTHETIC.same).mean():.4f}, strangers up to {strangers.max()}")
    assert (known < SYNTHETIC.same).mean() <= 0.01
    assert strangers.max() < SYNTHETIC.same


def test_every_model_has_a_centre_that_says_where_it_came_from() -> None:
    for model in FACE_MODELS.values():
        assert load_centre(model).shape == (model.dimensions,)
    assert not load_centre(SYNTHETIC).any()
    assert load_centre(DLIB).any()


def test_model_without_a_centre_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="no centre for face model other/1"):
        load_centre(FaceModel(id="other/1", dimensions=128, same=1, doubt=0, false_match_rate=1.0))
    with pytest.raises(ConfigError, match="another model"):
        load_centre(FaceModel(id="dlib-resnet/1", dimensions=64, same=1, doubt=0, false_match_rate=1.0))


def test_written_centre_reads_back() -> None:
    centre = Centre(model="a/1", source='29, 30 "photos"', values=tuple(range(-64, 64)))
    assert Centre(**json.loads(encode_centre(centre)) | {"values": centre.values}) == centre
    assert json.loads(encode_centre(centre))["values"] == list(centre.values)
    assert file_name("a/1") == "a-1.json"


def _look(rng: np.random.Generator, person: Embedding) -> Embedding:
    cosine = np.clip(rng.normal(0.75, 0.08), -1, 1)
    aside = rng.standard_normal(512)
    aside -= (aside @ person) * person
    return unit(cosine * person + np.sqrt(1 - cosine**2) * unit(aside))
