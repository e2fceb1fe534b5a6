"""The demo's second capture of a visitor is another picture of the same person."""

from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from infra.demo.repeated_capture import RepeatedCapture
from infra.demo.varied_camera import VariedCamera, varied
from models.contract.face_models import face_model
from models.face.capture_result import NotSeen, Seen
from models.face.picture import BadPicture
from models.face.protection import Protector, equal_bits
from models.face.vision import open_vision

MODEL = "dlib-resnet/1"


class OnePicture:
    def __init__(self, picture: Image.Image | BadPicture) -> None:
        self._picture = picture

    def capture(self) -> Image.Image | BadPicture:
        return self._picture


class Captures:
    def __init__(self, *captured: Seen | NotSeen) -> None:
        self._captured = iter(captured)

    async def capture(self) -> Seen | NotSeen:
        return next(self._captured)


def seen(template: bytes, epoch: int = 1) -> Seen:
    return Seen(model=MODEL, epoch=epoch, template=template)


def test_second_capture_is_recognised_and_its_template_differs(tmp_path: Path) -> None:
    vision, camera = open_vision(MODEL, tmp_path), VariedCamera(OnePicture(Image.fromarray(data.astronaut())))
    protector = Protector(bytes(range(32)), face_model(MODEL))
    templates = []
    for _ in range(3):
        frame = camera.capture()
        assert isinstance(frame, Image.Image)
        embedding = vision.see(frame)
        assert not isinstance(embedding, NotSeen), embedding
        templates.append(protector.protect(embedding))
    first, *later = templates
    assert all(face_model(MODEL).least_threshold <= equal_bits(first, template) < 500 for template in later)
    assert later[0] != later[1]


def test_variation_changes_size_and_light_and_leaves_the_frame_alone() -> None:
    frame = Image.new("RGB", (200, 100), (200, 100, 50))
    before = frame.tobytes()
    other = varied(frame, 1)
    assert other.size == (188, 94)
    assert max(other.convert("L").tobytes()) < min(frame.convert("L").tobytes())
    assert frame.tobytes() == before


def test_bad_picture_stays_one() -> None:
    camera = VariedCamera(OnePicture(BadPicture("truncated")))
    assert [camera.capture(), camera.capture()] == [BadPicture("truncated")] * 2


async def test_templates_are_compared_with_the_first_of_their_epoch() -> None:
    ones, one_less, other = bytes([255]) * 64, bytes([255]) * 63 + bytes([254]), bytes(64)
    capture = RepeatedCapture(
        Captures(NotSeen(reason="no_face"), seen(ones), seen(one_less), seen(other), seen(ones, epoch=2))
    )
    comparisons = []
    for _ in range(5):
        await capture.capture()
        comparisons.append(capture.comparison)
    assert comparisons == ["", "", "511 of 512", "0 of 512", ""]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_variation_is_the_same_for_the_same_arguments(number: int) -> None:
    frame = Image.fromarray(data.astronaut())
    assert varied(frame, number).tobytes() == varied(frame, number).tobytes()
