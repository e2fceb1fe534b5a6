"""What any camera, and any eye behind it, must do."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from devices.hardware.camera import Camera, PhotoFolder, photos
from devices.hardware.panel import Eye
from devices.hardware.vision import CameraEye, open_eye
from devices.session.site_key import Chain, open_chain
from models.contract.face_models import face_model
from models.contract.messages import TEMPLATE_BYTES
from models.errors import ConfigError
from models.face.capture_result import NotSeen, Seen
from models.face.protection import equal_bits
from models.face.vision import open_vision
from models.keys.key_files import SiteKey

RED, GREEN = (255, 0, 0), (0, 255, 0)


class Wall:
    """A camera that looks at a wall: the least that a port asks for."""

    def look(self) -> Image.Image:
        return Image.new("RGB", (640, 480), RED)


class Ann:
    """An eye that sees one person; what tests of the panel stand on."""

    async def look(self) -> Seen | NotSeen:
        return Seen(model="synthetic/1", epoch=0, template=bytes(TEMPLATE_BYTES))


@pytest.fixture
def album(tmp_path: Path) -> Path:
    for name, colour in (("b.png", GREEN), ("a.JPG", RED), ("notes.txt", None)):
        if colour:
            Image.new("RGB", (64, 48), colour).save(tmp_path / name)
        else:
            (tmp_path / name).write_text("no photo")
    return tmp_path


def _wall(_: Path) -> Camera:
    return Wall()


@pytest.mark.parametrize("camera_of", [_wall, PhotoFolder])
def test_every_look_is_a_picture_of_its_own(camera_of: Callable[[Path], Camera], album: Path) -> None:
    camera = camera_of(album)
    looks = [camera.look() for _ in range(4)]
    assert len({id(look) for look in looks}) == 4
    assert all(min(look.size) > 0 for look in looks)
    looks[0].paste((0, 0, 0), (0, 0, 9, 9))
    assert looks[2].convert("RGB").getpixel((1, 1)) != (0, 0, 0)


def test_photos_are_seen_in_the_order_of_their_names_again_and_again(album: Path) -> None:
    camera = PhotoFolder(album)
    greens = [_green(camera.look()) for _ in range(4)]
    assert greens == [False, True, False, True]


def test_a_single_photo_is_seen_whatever_its_name(album: Path) -> None:
    (album / "b.png").rename(album / "photo")
    camera = PhotoFolder(album / "photo")
    assert all(_green(camera.look()) for _ in range(2))


def test_a_folder_without_a_photo_is_named_with_what_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no photo in .*: \.bmp, \.jpeg, \.jpg"):
        photos(tmp_path)


def test_a_file_that_is_no_photo_is_named(album: Path) -> None:
    camera = PhotoFolder(album / "notes.txt")
    with pytest.raises(ConfigError, match=r"notes\.txt is no readable photo"):
        camera.look()


def test_a_torn_photo_is_named(album: Path) -> None:
    torn = album / "b.png"
    torn.write_bytes(torn.read_bytes()[:60])
    with pytest.raises(ConfigError, match=r"b\.png is no readable photo"):
        PhotoFolder(torn).look()


def _ann(_: Path) -> Eye:
    return Ann()


def _chain(folder: Path) -> Chain:
    key = folder / "site.key"
    key.write_text(str(SiteKey(3, bytes(range(32)))))
    return open_chain(key, face_model("dlib-resnet/1"))


def _photos(path: Path) -> CameraEye:
    return open_eye(path, _chain(path), path)


def _at_a_wall(path: Path) -> Eye:
    chain = _chain(path)
    return CameraEye(Wall(), open_vision(chain.protector, path), chain)


@pytest.mark.parametrize("eye_of", [_ann, _photos, _at_a_wall])
async def test_a_look_is_a_template_or_a_reason_and_nothing_else(eye_of: Callable[[Path], Eye], album: Path) -> None:
    match await eye_of(album).look():
        case Seen(template=template):
            assert len(template) == TEMPLATE_BYTES
        case NotSeen(reason=reason):
            assert reason == "no_face"


class Patient:
    """A camera whose picture comes when somebody else has worked meanwhile, and not before."""

    def __init__(self) -> None:
        self.others_work = threading.Event()

    def look(self) -> Image.Image:
        assert self.others_work.wait(10)
        return Wall().look()


async def test_the_eye_lets_others_work_while_it_looks(tmp_path: Path) -> None:
    camera, chain = Patient(), _chain(tmp_path)
    looking = asyncio.ensure_future(CameraEye(camera, open_vision(chain.protector, tmp_path), chain).look())
    await asyncio.sleep(0)
    camera.others_work.set()
    assert await looking == NotSeen(reason="no_face")


async def test_a_new_epoch_gives_the_eye_another_template_of_the_same_face(tmp_path: Path) -> None:
    Image.fromarray(data.astronaut()).save(tmp_path / "astronaut.png")
    eye = _photos(tmp_path)
    before = await eye.look()
    assert eye.follow(5) is None
    after = await eye.look()
    assert isinstance(before, Seen)
    assert isinstance(after, Seen)
    assert (before.epoch, after.epoch) == (3, 5)
    assert 180 < equal_bits(before.template, after.template) < 332


def _green(look: Image.Image) -> bool:
    pixel = look.convert("RGB").getpixel((30, 20))
    assert isinstance(pixel, tuple)
    return pixel[1] > pixel[0]
