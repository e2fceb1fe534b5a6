"""The catalogue of embedders' weights, and the check of a file against it. No network.

A file is used only if its size and SHA-256 are those recorded here. `dispenser weights` fetches and imports them
(devices/weights); torch or ONNX Runtime load them without running any code of theirs.
"""

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Final

from msgspec import Struct

from models.errors import ConfigError

__all__ = ["CATALOGUE", "Weights", "check", "file_sha256", "find_weights", "verified", "weights_path"]


class Weights(Struct, frozen=True, kw_only=True):
    """A released file, how to recognise it, and what is known of its accuracy."""

    id: str
    name: str
    """of the file"""
    url: str = ""
    """where it was released; empty: it comes inside a package"""
    package: str = ""
    """the package that holds it, and the folder inside"""
    size: int
    """bytes"""
    sha256: str
    licence: str
    training: str
    """the data that the network was trained on"""
    published: str
    """accuracy on LFW as its makers published it"""
    measured: str = "not measured"
    """accuracy on LFW through the product's chain: docs/template-evaluation.md"""
    face_model: str = ""
    """the face model made with it; empty: none yet, `fairroll calibrate` makes one"""


CATALOGUE: Final = (
    Weights(
        id="dlib",
        name="dlib_face_recognition_resnet_model_v1.dat",
        package="face_recognition_models/models",
        size=22_466_066,
        sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        licence="CC0",
        training="Face Scrub, VGG and others, 3 million photos of 7,485 people",
        published="99.38 %",
        face_model="dlib-resnet/1",
    ),
    Weights(
        id="mobilefacenet",
        name="MobileFaceNet.onnx",
        url="https://github.com/foamliu/MobileFaceNet/raw/a6cc9032a659b615f477833e1a70b5e7931bcccc/weights/MobileFaceNet.onnx",
        size=3_998_070,
        sha256="b7120c095d60094f28a4a54ba6a8bf51b297a6273fb40ef6350dfec1f63d9507",
        licence="Apache-2.0",
        training="MS-Celeb-1M",
        published="99.22 %",
        measured="99.6 % through templates, two folds",
        face_model="mobilefacenet/1",
    ),
    Weights(
        id="facenet-vggface2",
        name="20180402-114759-vggface2.pt",
        url="https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt",
        size=111_898_327,
        sha256="281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
        licence="MIT (facenet-pytorch)",
        training="VGGFace2, 3.3 million photos of 9,131 people",
        published="99.65 %",
        face_model="facenet-vggface2/1",
    ),
    Weights(
        id="facenet-casia",
        name="20180408-102900-casia-webface.pt",
        url="https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180408-102900-casia-webface.pt",
        size=115_887_415,
        sha256="7a67afdbbc995fce5e10125668e315799a70698c2f433ba75dd7eb9a2f096e7d",
        licence="MIT (facenet-pytorch)",
        training="CASIA-WebFace, 490,000 photos of 10,575 people",
        published="99.05 %",
    ),
    Weights(
        id="sface",
        name="face_recognition_sface_2021dec.onnx",
        url="https://github.com/opencv/opencv_zoo/raw/47534e27c9851bb1128ccc0102f1145e27f23f98/models/face_recognition_sface/face_recognition_sface_2021dec.onnx",
        size=38_696_353,
        sha256="0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
        licence="Apache-2.0",
        training="CASIA-WebFace, VGGFace2 or MS-Celeb-1M: the release does not state which",
        published="99.60 %",
    ),
)
"""Hashes: dlib's and MobileFaceNet's computed from the files; the others as public repositories record them."""


def find_weights(weights_id: str) -> Weights:
    """Raises ConfigError for an id that is not in the catalogue."""
    for weights in CATALOGUE:
        if weights.id == weights_id:
            return weights
    known = ", ".join(weights.id for weights in CATALOGUE)
    raise ConfigError(f"no weights {weights_id!r} in the catalogue; known: {known}")


def weights_path(weights: Weights, folder: Path) -> Path:
    """Return where the file is or has to be: in its package, else in `folder`."""
    if not weights.package:
        return folder / weights.name
    package, _, inside = weights.package.partition("/")
    try:
        return Path(str(files(package))) / inside / weights.name
    except ModuleNotFoundError:
        raise ConfigError(f"{weights.id}: the package {package} is missing: install fairroll[vision]") from None


def verified(weights: Weights, folder: Path) -> Path:
    """Return the path of the file after checking it. Raises ConfigError with the command that brings it."""
    path = weights_path(weights, folder)
    if not path.exists():
        raise ConfigError(
            f"{path} is missing. Run `dispenser weights fetch {weights.id}`, or bring the file and run"
            " `dispenser weights import FILE`"
        )
    if error := check(weights, path):
        raise ConfigError(f"{path}: {error}. Delete it and run `dispenser weights fetch {weights.id}`")
    return path


def check(weights: Weights, path: Path) -> str:
    """Return how the file differs from the released one; empty if it does not."""
    size = path.stat().st_size
    if size < weights.size:
        return f"it has {size:,} of {weights.size:,} bytes"
    if size > weights.size:
        return f"it is not {weights.id}: {size:,} bytes, expected {weights.size:,} bytes"
    found = file_sha256(path)
    return "" if found == weights.sha256 else f"it is not {weights.id}: sha256 {found}, expected {weights.sha256}"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
