"""Every file is a picture that can be looked at, or a reason why not: none is an error, and none takes all memory."""

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageFile

from models.contract.face_models import face_model
from models.face.capture_result import NotSeen
from models.face.image import LONGEST_SIDE
from models.face.networks.dlib_embedder import DlibEmbedder
from models.face.networks.mtcnn import FaceDetector
from models.face.picture import BadPicture, decode_picture, read_picture
from models.face.protection import Protector, equal_bits
from models.face.quality import QualityGate
from models.face.vision import Vision

PNG = b"\x89PNG\r\n\x1a\n"
FORMATS = ("jpeg", "png", "webp", "bmp")


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def small(form: str = "png", **options: object) -> bytes:
    noise = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return encoded(Image.fromarray(noise), form, **options)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int) -> bytes:
    return PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def png_of_one_pixel(*chunks: bytes) -> bytes:
    pixel = chunk(b"IDAT", zlib.compress(bytes(4)))
    return b"".join((png_header(1, 1), *chunks, pixel, chunk(b"IEND", b"")))


def bmp_header(width: int, height: int) -> bytes:
    return struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def jpeg_header(width: int, height: int) -> bytes:
    whole = small("jpeg")
    at = whole.index(b"\xff\xc0")
    return whole[: at + 5] + struct.pack(">HH", height, width) + whole[at + 9 :]


def webp_header(width: int, height: int) -> bytes:
    size = struct.pack("<I", (width - 1) | (height - 1) << 14)
    body = b"WEBPVP8L" + struct.pack("<I", 6) + b"\x2f" + size + b"\0"
    return b"RIFF" + struct.pack("<I", len(body)) + body


def damaged(whole: bytes) -> bytes:
    middle = len(whole) // 2
    return whole[:middle] + bytes(byte ^ 0xFF for byte in whole[middle : middle + 40]) + whole[middle + 40 :]


BOMB = zlib.compress(bytes(80_000_000), 9)
BAD = {
    "nothing": b"",
    "one byte": b"\xff",
    "text": b"no photo",
    "a page": b"<html><body>not found</body></html>",
    "noise": np.random.default_rng(2).bytes(5_000),
    "a program for Ghostscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n%%EndComments\nshowpage\n",
    "a GIF": small("gif"),
    "a TIFF": small("tiff"),
    **{f"a torn {form}": small(form)[: len(small(form)) // 2] for form in FORMATS},
    **{f"the first bytes of a {form}": small(form)[:20] for form in FORMATS},
    "a damaged PNG": damaged(small("png")),
    "a PNG without its end": small("png")[:60],
    "a PNG of 20,000 x 20,000": png_header(20_000, 20_000) + chunk(b"IDAT", BOMB),
    "a PNG of 2 billion x 1": png_header(2**31 - 1, 1) + chunk(b"IDAT", BOMB),
    "a PNG of nothing": png_header(0, 0) + chunk(b"IEND", b""),
    "a BMP of 20,000 x 20,000": bmp_header(20_000, 20_000),
    "a BMP of negative size": bmp_header(-5, -5),
    "a JPEG of 65,500 x 65,500": jpeg_header(65_500, 65_500),
    "a WebP of 16,383 x 16,383": webp_header(16_383, 16_383),
    "compressed text that grows": png_of_one_pixel(chunk(b"zTXt", b"Comment\0\0" + BOMB)),
    "more than is read": small("bmp") + bytes(64_000_000),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_a_bad_picture_with_a_reason(data: bytes) -> None:
    picture = decode_picture(data)
    assert isinstance(picture, BadPicture)
    assert picture.reason


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_damage_is_an_error(data: st.DataObject) -> None:
    whole = bytearray(small(data.draw(st.sampled_from(FORMATS))))
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=8)):
        whole[at] = byte
    picture = decode_picture(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    assert isinstance(picture, BadPicture) or picture.mode == "RGB"


def test_a_file_that_cannot_be_opened_is_a_bad_picture(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.jpg", tmp_path):
        assert isinstance(read_picture(path), BadPicture)


@pytest.mark.parametrize("form", FORMATS)
def test_a_good_file_is_an_rgb_image_whatever_its_name(form: str, tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(small(form))
    picture = read_picture(tmp_path / "photo")
    assert isinstance(picture, Image.Image)
    assert (picture.mode, picture.size) == ("RGB", (64, 48))


@pytest.mark.parametrize("exif", [b"Exif\0\0GARBAGE!", b"Exif\0\0", b"\xff" * 40, b"Exif\0\0MM\0*\0\0\xff\xff"])
def test_garbage_in_exif_turns_nothing(exif: bytes) -> None:
    picture = decode_picture(small("jpeg", exif=exif))
    assert isinstance(picture, Image.Image)
    assert picture.size == (64, 48)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_says_and_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    picture = decode_picture(small("png", exif=exif))
    assert isinstance(picture, Image.Image)
    assert picture.size == ((64, 48) if orientation < 5 else (48, 64))
    assert picture.getexif().get(ExifTags.Base.Orientation, 1) == 1 or orientation == 1


@pytest.mark.parametrize(("width", "height"), [(4_000, 3_000), (3_000, 4_000), (1_281, 2), (9_000, 100)])
@pytest.mark.parametrize("form", FORMATS)
def test_a_large_picture_is_scaled_to_what_is_looked_at(form: str, width: int, height: int) -> None:
    picture = decode_picture(encoded(Image.new("RGB", (width, height), "grey"), form))
    assert isinstance(picture, Image.Image)
    assert max(picture.size) == LONGEST_SIDE
    scale = LONGEST_SIDE / max(width, height)
    assert picture.size == (max(1, round(scale * width)), max(1, round(scale * height)))


def _scaled_down(astronaut: Image.Image) -> bytes:
    return encoded(astronaut.resize((6_000, 6_000)), "jpeg")


def _of_16_bits(astronaut: Image.Image) -> bytes:
    return encoded(Image.fromarray(np.asarray(astronaut.convert("L")).astype(np.uint16) * 257), "png")


def _of_10_bits(astronaut: Image.Image) -> bytes:
    return encoded(Image.fromarray(np.asarray(astronaut.convert("L")).astype(np.uint16) * 4), "png")


@pytest.mark.parametrize("written", [_scaled_down, _of_16_bits, _of_10_bits])
def test_a_face_is_recognised_in_a_large_picture_and_in_one_of_more_bits(
    written: Callable[[Image.Image], bytes], astronaut: Image.Image, detector: FaceDetector, embedder: DlibEmbedder
) -> None:
    vision = Vision(detector=detector, gate=QualityGate(), embedder=embedder)
    protector = Protector(bytes(32), face_model("dlib-resnet/1"))
    picture = decode_picture(written(astronaut))
    assert isinstance(picture, Image.Image)
    seen, known = (vision.see(image) for image in (picture, astronaut))
    assert not isinstance(seen, NotSeen)
    assert not isinstance(known, NotSeen)
    assert equal_bits(protector.protect(seen), protector.protect(known)) > 440


_MEMORY = """
import sys, pathlib
from models.face.picture import BadPicture, read_picture
def peak_mb():
    return int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024
before = peak_mb()
picture = read_picture(pathlib.Path(sys.argv[1]))
print(type(picture).__name__, peak_mb() - before)
"""


def decoded_elsewhere(path: Path) -> tuple[str, int]:
    """What a file is, and how many megabytes reading it takes."""
    received = subprocess.run([sys.executable, "-c", _MEMORY, str(path)], capture_output=True, text=True, check=True)
    kind, mb = received.stdout.split()
    return kind, int(mb)


@pytest.mark.parametrize(
    ("size", "form", "options", "kind", "most_mb"),
    [
        ((12_000, 9_000), "jpeg", {}, "Image", 120),
        ((12_000, 9_000), "jpeg", {"progressive": True}, "BadPicture", 60),
        ((8_000, 6_000), "png", {"compress_level": 1}, "Image", 400),
        ((12_000, 9_000), "png", {"compress_level": 1}, "BadPicture", 60),
    ],
)
def test_memory_is_bounded_however_large_a_picture_is(
    size: tuple[int, int], form: str, options: dict[str, object], kind: str, most_mb: int, tmp_path: Path
) -> None:
    ImageFile.MAXBLOCK = 1 << 24
    path = tmp_path / f"large.{form}"
    Image.new("RGB", size, "grey").save(path, form, **options)
    found, mb = decoded_elsewhere(path)
    assert found == kind
    assert mb < most_mb
