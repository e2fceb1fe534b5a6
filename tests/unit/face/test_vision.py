import io
from pathlib import Path

import numpy as np
import pytest
import torch
from facenet_pytorch import InceptionResnetV1
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from PIL import ExifTags, Image, ImageFilter

from models.contract.face_models import face_model
from models.errors import ConfigError
from models.face.capture_result import NotSeen
from models.face.image import Face, Landmarks, Point, upright_rgb
from models.face.networks.dlib_embedder import DlibEmbedder
from models.face.networks.facenet_embedder import FaceNetEmbedder
from models.face.networks.mtcnn import FaceDetector
from models.face.protection import Protector, equal_bits
from models.face.quality import QualityGate, roll, turn
from models.face.vision import Vision, open_vision

KEY = bytes(range(32))
GATE = QualityGate()
Part = tuple[int, int, int, int]


@pytest.fixture(scope="session")
def vision(detector: FaceDetector, embedder: DlibEmbedder) -> Vision:
    return Vision(detector=detector, gate=GATE, embedder=embedder)


def scaled(image: Image.Image, by: float) -> Image.Image:
    return image.resize((round(image.width * by), round(image.height * by)), Image.Resampling.LANCZOS)


def turned_by(image: Image.Image, degrees: float) -> Image.Image:
    return image.rotate(degrees, expand=True, resample=Image.Resampling.BICUBIC)


def template(vision: Vision, image: Image.Image) -> bytes:
    """What is seen, protected."""
    result = vision.see(image)
    assert not isinstance(result, NotSeen), result
    return Protector(KEY, vision.embedder.model).protect(result)


def is_rather(vision: Vision, image: Image.Image, one: Part, other: Part, gate: QualityGate = GATE) -> bool:
    """Whether the template is nearer to what is seen in one part of the image than to that in the other."""
    whole = template(vision, image)
    alone = replace(vision, gate=gate)
    near, far = (equal_bits(whole, template(alone, image.crop(part))) for part in (one, other))
    return near > far


def test_same_photo_gives_the_same_bits_every_time(vision: Vision, astronaut: Image.Image) -> None:
    assert template(vision, astronaut) == template(vision, astronaut.copy())


def test_box_and_landmarks_are_where_the_astronauts_face_is(astronauts_face: Face) -> None:
    left, top, right, bottom = astronauts_face.box
    assert 170 < left < 195
    assert 55 < top < 90
    assert 255 < right < 280
    assert 160 < bottom < 190
    eyes, nose, mouth = astronauts_face.landmarks[:2], astronauts_face.landmarks.nose, astronauts_face.landmarks[3:]
    assert eyes[0].x < nose.x < eyes[1].x
    assert max(eye.y for eye in eyes) < nose.y < min(corner.y for corner in mouth)
    assert all(type(value) is float for value in astronauts_face.box)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "LA", "I;16"])
def test_image_of_any_mode_can_be_looked_at(vision: Vision, astronaut: Image.Image, mode: str) -> None:
    image = astronaut.convert("L").convert(mode) if mode == "I;16" else astronaut.convert(mode)
    result = vision.see(image)
    if mode in {"RGBA", "CMYK"}:
        assert not isinstance(result, NotSeen)
    if mode in {"L", "I;16"}:
        assert equal_bits(template(vision, image), template(vision, astronaut)) > 440


def test_photo_that_lies_on_its_side_is_turned_upright_first(vision: Vision, astronaut: Image.Image) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    file = io.BytesIO()
    astronaut.rotate(90).save(file, "png", exif=exif)
    assert template(vision, Image.open(file)) == template(vision, astronaut)


@pytest.mark.parametrize("size", [(1, 1), (14, 25), (39, 400), (40, 40), (41, 43), (400, 40)])
def test_tiny_or_narrow_image_has_no_face(vision: Vision, astronaut: Image.Image, size: tuple[int, int]) -> None:
    assert vision.see(astronaut.resize(size)) == NotSeen(reason="no_face")


@settings(max_examples=15)
@given(width=st.integers(1, 120), height=st.integers(1, 120), seed=st.integers(0, 2**32))
def test_noise_of_any_size_is_no_template(vision: Vision, width: int, height: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert isinstance(vision.see(Image.fromarray(noise)), NotSeen)


def test_cup_of_coffee_is_no_face(vision: Vision, coffee: Image.Image) -> None:
    assert vision.see(coffee) == NotSeen(reason="no_face")


def test_small_face_is_too_small(vision: Vision, astronaut: Image.Image, astronauts_face: Face) -> None:
    assert vision.see(scaled(astronaut, 50 / astronauts_face.width)) == NotSeen(reason="too_small")


def test_blurred_face_is_blurred(vision: Vision, astronaut: Image.Image) -> None:
    assert vision.see(astronaut.filter(ImageFilter.GaussianBlur(4))) == NotSeen(reason="blurred")


def test_dark_face_is_not_a_blurred_one(vision: Vision, astronaut: Image.Image) -> None:
    dark = astronaut.point(lambda value: int(value * 0.4))
    assert equal_bits(template(vision, dark), template(vision, astronaut)) > 440


@pytest.mark.parametrize(("degrees", "good"), [(-25, True), (25, True), (-50, False), (50, False)])
def test_leaning_head_is_good_up_to_a_point(
    vision: Vision, astronaut: Image.Image, degrees: float, *, good: bool
) -> None:
    result = vision.see(turned_by(astronaut, degrees))
    if good:
        assert not isinstance(result, NotSeen)
    else:
        assert result in (NotSeen(reason="turned_away"), NotSeen(reason="no_face"))


def test_profile_is_turned_away(astronaut: Image.Image, astronauts_face: Face) -> None:
    frontal = Landmarks(Point(200, 100), Point(240, 100), Point(220, 125), Point(205, 145), Point(235, 145))
    profile = frontal._replace(nose=Point(236, 125))
    assert GATE.judge(astronaut, replace(astronauts_face, landmarks=frontal)) is None
    assert GATE.judge(astronaut, replace(astronauts_face, landmarks=profile)) == "turned_away"
    assert (turn(frontal), round(turn(profile), 3)) == (0, 0.356)


def test_turn_does_not_change_when_the_head_leans() -> None:
    upright = Landmarks(Point(-20, 0), Point(20, 0), Point(9, 22), Point(-15, 45), Point(15, 45))
    angle = np.radians(30)
    turning = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    leaning = Landmarks(*(Point(*(np.array(point) @ turning)) for point in upright))
    assert turn(leaning) == pytest.approx(turn(upright))
    assert roll(leaning) == pytest.approx(30)


def test_unsure_face_is_unsure(astronaut: Image.Image, astronauts_face: Face) -> None:
    assert GATE.judge(astronaut, replace(astronauts_face, probability=0.96)) == "unsure"


def test_landmarks_in_one_point_are_judged_without_an_error(astronaut: Image.Image, astronauts_face: Face) -> None:
    heap = Landmarks(*[Point(5, 5)] * 5)
    assert GATE.judge(astronaut, replace(astronauts_face, landmarks=heap)) is None


def test_in_a_group_the_largest_face_is_seen(vision: Vision, astronaut: Image.Image) -> None:
    group = Image.new("RGB", (900, 512), "grey")
    group.paste(astronaut, (0, 0))
    group.paste(scaled(astronaut, 0.7), (520, 100))
    assert len(vision.detector.detect(group)) == 2
    assert is_rather(vision, group, (0, 0, 512, 512), (520, 100, 878, 458))


def test_bystander_is_not_charged_for_a_blurred_face_in_front(vision: Vision, astronaut: Image.Image) -> None:
    group = Image.new("RGB", (1700, 1024), "grey")
    group.paste(scaled(astronaut, 2).filter(ImageFilter.GaussianBlur(9)), (0, 0))
    group.paste(scaled(astronaut, 0.8), (1100, 300))
    assert len(vision.detector.detect(group)) == 2
    assert vision.see(group) == NotSeen(reason="blurred")


def test_good_face_beside_a_blurred_one_of_its_size_is_seen(vision: Vision, astronaut: Image.Image) -> None:
    group = Image.new("RGB", (1100, 600), "grey")
    group.paste(scaled(astronaut, 1.1).filter(ImageFilter.GaussianBlur(5)), (0, 0))
    group.paste(astronaut, (580, 20))
    assert is_rather(vision, group, (580, 20, 1092, 532), (0, 0, 563, 563), gate=QualityGate(sharpness=0))


def test_upright_rgb_image_is_not_copied(astronaut: Image.Image) -> None:
    assert upright_rgb(astronaut) is astronaut


def test_dlib_embedding_is_a_unit_vector(embedder: DlibEmbedder, astronaut: Image.Image, astronauts_face: Face) -> None:
    vector = embedder.embed(astronaut, astronauts_face)
    assert (vector.shape, vector.dtype.name) == ((128,), "float32")
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_facenet_embedding_is_a_unit_vector(astronaut: Image.Image, astronauts_face: Face) -> None:
    torch.manual_seed(0)
    facenet = FaceNetEmbedder(face_model("facenet-vggface2/1"), InceptionResnetV1())
    vector = facenet.embed(astronaut, astronauts_face)
    assert (vector.shape, vector.dtype.name) == ((512,), "float32")
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
    assert len(Protector(KEY, facenet.model).protect(vector)) == facenet.model.template_bytes
    assert np.array_equal(vector, facenet.embed(astronaut, astronauts_face))


def test_opened_vision_sees(astronaut: Image.Image, tmp_path: Path) -> None:
    assert (
        len(template(open_vision("dlib-resnet/1", tmp_path), astronaut)) == face_model("dlib-resnet/1").template_bytes
    )
    assert list(tmp_path.iterdir()) == []


def test_model_that_cannot_see_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs no camera"):
        open_vision("synthetic/1", tmp_path)
