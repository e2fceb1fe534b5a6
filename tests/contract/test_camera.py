"""What any camera must do, and any eye."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from devices.hardware.camera import Camera, PhotoFolder, photos
from devices.hardware.panel import FaceCapture
from devices.session.site_key import SiteKeyChain, open_site_key_chain
from devices.vision.capture import ThreadCapture
from devices.vision.template_capture import TemplateCapture
from models.contract.face_models import face_model
from models.errors import ConfigError
from models.face.capture_result import Embedding, NotSeen, Seen
from models.face.picture import BadPicture
from models.face.protection import equal_bits
from models.face.vision import open_vision
from models.keys.key_files import SiteKey

RED, GREEN = (255, 0, 0), (0, 255, 0)
DLIB = face_model("dlib-resnet/1")


class Wall:
    """A camera that looks at a wall: the least that a port asks for."""

    def capture(self) -> Image.Image | BadPicture:
        return Image.new("RGB", (640, 480), RED)


class Ann:
    """An eye that sees one person; what tests of the panel stand on."""

    async def capture(self) -> Seen | NotSeen:
        return Seen(model="synthetic/1", epoch=0, template=bytes(face_model("synthetic/1").template_bytes))


@pytest.fixture
def album(tmp_path: Path) -> Path:
    for name, colour in (("b.png", GREEN), ("a.JPG", RED), ("notes.txt", None)):
        if colour:
            Image.new("RGB", (64, 48), colour).save(tmp_path / name)
        else:
            (tmp_path / name).write_text("no photo")
    return tmp_path


def picture(camera: Camera) -> Image.Image:
    seen = camera.capture()
    assert isinstance(seen, Image.Image)
    return seen


def _wall(_: Path) -> Camera:
    return Wall()


@pytest.mark.parametrize("camera_of", [_wall, PhotoFolder])
def test_every_capture_returns_a_new_picture(camera_of: Callable[[Path], Camera], album: Path) -> None:
    camera = camera_of(album)
    looks = [picture(camera) for _ in range(4)]
    assert len({id(look) for look in looks}) == 4
    assert all(min(look.size) > 0 for look in looks)
    looks[0].paste((0, 0, 0), (0, 0, 9, 9))
    assert looks[2].convert("RGB").getpixel((1, 1)) != (0, 0, 0)


def test_photos_are_seen_in_the_order_of_their_names_again_and_again(album: Path) -> None:
    camera = PhotoFolder(album)
    greens = [_green(picture(camera)) for _ in range(4)]
    assert greens == [False, True, False, True]


def test_a_single_photo_is_seen_whatever_its_name(album: Path) -> None:
    (album / "b.png").rename(album / "photo")
    camera = PhotoFolder(album / "photo")
    assert all(_green(picture(camera)) for _ in range(2))


def test_a_folder_without_photos_is_an_error_that_lists_the_formats(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ConfigError, match=r"no photo in .*: \.bmp, \.jpeg, \.jpg"):
            photos(path)


def test_a_bad_photo_is_named_and_the_next_one_is_seen(album: Path) -> None:
    torn = album / "a.JPG"
    torn.write_bytes(torn.read_bytes()[:60])
    camera = PhotoFolder(album)
    bad = camera.capture()
    assert isinstance(bad, BadPicture)
    assert "a.JPG" in bad.reason
    assert _green(picture(camera))


def _ann(_: Path) -> FaceCapture:
    return Ann()


def _chain(folder: Path) -> SiteKeyChain:
    key = folder / "site.key"
    key.write_text(str(SiteKey(3, bytes(range(32)))))
    return open_site_key_chain(key, DLIB)


def _eye(camera: Camera, folder: Path) -> TemplateCapture:
    return TemplateCapture(ThreadCapture(camera, open_vision(DLIB.id, folder)), _chain(folder))


def _photos(path: Path) -> FaceCapture:
    return _eye(PhotoFolder(path), path)


def _at_a_wall(path: Path) -> FaceCapture:
    return _eye(Wall(), path)


@pytest.mark.parametrize("eye_of", [_ann, _photos, _at_a_wall])
async def test_a_capture_returns_a_template_or_a_reason(eye_of: Callable[[Path], FaceCapture], album: Path) -> None:
    match await eye_of(album).capture():
        case Seen(template=template):
            assert len(template) == DLIB.template_bytes
        case NotSeen(reason=reason):
            assert reason == "no_face"


class Broken:
    def capture(self) -> Image.Image | BadPicture:
        raise RuntimeError("a fault of its own")


async def test_a_failed_camera_or_photo_yields_no_picture(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await _eye(Broken(), album).capture() == NotSeen(reason="no_picture")
    assert "a fault of its own" in capsys.readouterr().out
    assert await _eye(PhotoFolder(album / "notes.txt"), album).capture() == NotSeen(reason="no_picture")
    assert "notes.txt" in capsys.readouterr().out


class Patient:
    """A camera whose picture comes only after another task has run."""

    def __init__(self) -> None:
        self.others_work = threading.Event()

    def capture(self) -> Image.Image | BadPicture:
        assert self.others_work.wait(10)
        return Wall().capture()


async def test_a_capture_does_not_block_the_event_loop(tmp_path: Path) -> None:
    camera = Patient()
    looking = asyncio.ensure_future(_eye(camera, tmp_path).capture())
    await asyncio.sleep(0)
    camera.others_work.set()
    assert await looking == NotSeen(reason="no_face")


async def test_a_new_epoch_gives_another_template_of_the_same_face(tmp_path: Path) -> None:
    Image.fromarray(data.astronaut()).save(tmp_path / "astronaut.png")
    chain = _chain(tmp_path)
    eye = TemplateCapture(ThreadCapture(PhotoFolder(tmp_path), open_vision(DLIB.id, tmp_path)), chain)
    before = await eye.capture()
    assert chain.follow(5) is None
    after = await eye.capture()
    assert isinstance(before, Seen)
    assert isinstance(after, Seen)
    assert (before.epoch, after.epoch) == (3, 5)
    assert 180 < equal_bits(before.template, after.template) < 332


class Sees:
    """A vision that returns what the test sets."""

    def __init__(self, embedding: Embedding) -> None:
        self._embedding = embedding

    async def capture(self) -> Embedding | NotSeen:
        return self._embedding


@pytest.mark.parametrize(
    "embedding", [np.zeros(128), np.full(128, np.nan), np.full(128, np.inf), np.ones(3) / np.sqrt(3), np.zeros(0)]
)
async def test_an_invalid_embedding_makes_no_template(embedding: Embedding, tmp_path: Path) -> None:
    eye = TemplateCapture(Sees(embedding.astype(np.float32)), _chain(tmp_path))
    assert await eye.capture() == NotSeen(reason="no_picture")


def _green(look: Image.Image) -> bool:
    pixel = look.convert("RGB").getpixel((30, 20))
    assert isinstance(pixel, tuple)
    return pixel[1] > pixel[0]
