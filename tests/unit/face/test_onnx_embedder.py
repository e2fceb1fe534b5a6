"""The mobile network of ../shared/models; skipped without it."""

import os
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image, ImageFilter

from models.contract.face_models import face_model
from models.errors import ConfigError
from models.face.image import Face
from models.face.networks.onnx_embedder import INPUTS, OnnxEmbedder, open_session
from models.face.networks.weights import find_weights
from models.face.vision import open_vision

SHARED = Path(os.path.normpath(Path(__file__).parents[3] / "../shared/models/mobilefacenet.onnx"))
MODEL = "mobilefacenet/1"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of weights with the mobile network in it."""
    if not SHARED.exists():
        pytest.skip("the mobile network is not next to the repository")
    folder = tmp_path_factory.mktemp("weights")
    (folder / find_weights("mobilefacenet").name).symlink_to(SHARED)
    return folder


@pytest.fixture(scope="module")
def embedder(weights: Path) -> OnnxEmbedder:
    return OnnxEmbedder.from_file(face_model(MODEL), weights / find_weights("mobilefacenet").name)


def test_embedding_is_a_unit_vector_and_the_same_each_time(
    embedder: OnnxEmbedder, astronaut: Image.Image, astronauts_face: Face
) -> None:
    one, other = embedder.embed(astronaut, astronauts_face), embedder.embed(astronaut, astronauts_face)
    assert one is not None
    assert other is not None
    assert one.shape == (embedder.model.dimensions,)
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-6)
    assert np.array_equal(one, other)


def test_mirrored_face_has_nearly_the_same_embedding(
    embedder: OnnxEmbedder, astronaut: Image.Image, astronauts_face: Face
) -> None:
    width = astronaut.width
    left_eye, right_eye, nose, mouth_left, mouth_right = (
        type(point)(width - point.x, point.y) for point in astronauts_face.landmarks
    )
    landmarks = type(astronauts_face.landmarks)(right_eye, left_eye, nose, mouth_right, mouth_left)
    mirrored = embedder.output(
        astronaut.transpose(Image.Transpose.FLIP_LEFT_RIGHT), replace(astronauts_face, landmarks=landmarks)
    )
    original = embedder.output(astronaut, astronauts_face)
    assert mirrored @ original / np.linalg.norm(mirrored) / np.linalg.norm(original) > 0.97


def test_network_that_knows_too_little_of_a_face_gives_no_embedding(
    embedder: OnnxEmbedder, astronaut: Image.Image, astronauts_face: Face
) -> None:
    norm = float(np.linalg.norm(embedder.output(astronaut, astronauts_face)))
    poor = astronaut.filter(ImageFilter.GaussianBlur(8))
    assert np.linalg.norm(embedder.output(poor, astronauts_face)) < norm
    strict = OnnxEmbedder(
        face_model(MODEL), replace(INPUTS["mobilefacenet"], least_norm=norm + 1), open_session(SHARED)
    )
    assert strict.embed(astronaut, astronauts_face) is None


def test_vision_sees_with_the_mobile_network(weights: Path, astronaut: Image.Image) -> None:
    vision = open_vision(MODEL, weights)
    assert isinstance(vision.embedder, OnnxEmbedder)
    assert isinstance(vision.see(astronaut), np.ndarray)


def test_file_that_is_no_network_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_text("<html>not found</html>")
    with pytest.raises(ConfigError, match="no ONNX network"):
        open_session(tmp_path / "x.onnx")


def test_missing_weights_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dispenser weights fetch mobilefacenet"):
        open_vision(MODEL, tmp_path)
