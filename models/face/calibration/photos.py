"""Photos of people through the chain of a dispenser, up to the embedding."""

from pathlib import Path

import numpy as np
from msgspec import Struct
from PIL import Image

from models.errors import ConfigError
from models.face.calibration.people import People
from models.face.capture_result import Embedding, Poor
from models.face.image import Face
from models.face.networks.embedder import Embedder
from models.face.networks.mtcnn import FaceDetector
from models.face.picture import BadPicture, read_picture
from models.face.quality import QualityGate

__all__ = ["Photos", "Processed", "people_of", "process"]


class Processed(Struct, frozen=True, kw_only=True, eq=False):
    """What one photo gave: an embedding of its face, or the reason why not."""

    person: str
    photo: str
    embedding: Embedding | None = None
    reason: Poor | str = ""


class Photos(Struct, frozen=True, kw_only=True):
    """Processes photos like Vision, up to the embedding; of several faces, the one nearest the middle."""

    detector: FaceDetector
    gate: QualityGate
    embedder: Embedder

    def process(self, path: Path) -> Processed:
        person, photo = path.parent.name, path.name
        picture = read_picture(path)
        if isinstance(picture, BadPicture):
            return Processed(person=person, photo=photo, reason="not_an_image")
        return self._process(picture, person, photo)

    def _process(self, image: Image.Image, person: str, photo: str) -> Processed:
        faces = self.detector.detect(image)
        if not faces:
            return Processed(person=person, photo=photo, reason="no_face")
        face = min(faces, key=lambda each: _from_the_middle(image, each))
        if (reason := self.gate.judge(image, face)) is not None:
            return Processed(person=person, photo=photo, reason=reason)
        embedding = self.embedder.embed(image, face)
        return Processed(
            person=person, photo=photo, embedding=embedding, reason="" if embedding is not None else "blurred"
        )


def process(folder: Path, photos: Photos, most: int | None = None) -> list[Processed]:
    """Process every file of every person's folder, or the first `most`. Raises ConfigError if there is none."""
    paths = sorted(path for path in folder.glob("*/*") if path.is_file() and not path.name.startswith("."))
    if not paths:
        raise ConfigError(f"{folder} holds no photos: it needs one folder a person with photos inside")
    return [photos.process(path) for path in paths[:most]]


def people_of(photos: list[Processed]) -> People:
    """Keep what passed; people are numbered in the order of their folders."""
    order = {person: number for number, person in enumerate(sorted({photo.person for photo in photos}))}
    passed = [(photo.embedding, order[photo.person]) for photo in photos if photo.embedding is not None]
    if not passed:
        raise ConfigError("no photo passed the quality gate")
    return People(np.stack([embedding for embedding, _ in passed]), np.array([who for _, who in passed]))


def _from_the_middle(image: Image.Image, face: Face) -> float:
    left, top, right, bottom = face.box
    return (left + right - image.width) ** 2 + (top + bottom - image.height) ** 2
