"""Calibrates a face model on a folder of photos: a table of errors, thresholds, and the file of its centre.

    python -m models.face.calibration FOLDER [--model ID] [--weights FOLDER] [--write FILE --source TEXT]

FOLDER has one folder with photos for each person. models/face/scoring.py explains the choice of thresholds.
"""

import argparse
import math
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from msgspec import Struct
from PIL import Image

from models.contract.face_models import FaceModel
from models.errors import ConfigError, FairrollError
from models.face.capture_result import Embedding, Poor
from models.face.centres import Centre, encode_centre
from models.face.detection import FaceDetector
from models.face.embedding import Embedder
from models.face.measures import upper_bound
from models.face.picture import BadPicture, read_picture
from models.face.quality import QualityGate
from models.face.scoring import (
    People,
    Scores,
    centre_of,
    judge,
    left_out_scores,
    random_keys,
    thresholds,
)
from models.face.vision import open_embedder

__all__ = ["Photos", "Processed", "main", "people_of", "table"]


class Processed(Struct, frozen=True, kw_only=True, eq=False):
    """The result of one photo: an embedding of its largest face, or the reason why there is none."""

    person: str
    photo: str
    embedding: Embedding | None = None
    reason: Poor | str = ""


class Photos(Struct, frozen=True, kw_only=True):
    """Processes photos for a calibration like Vision, up to the embedding."""

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
        reason = self.gate.judge(image, faces[0]) if faces else "no_face"
        if reason is not None:
            return Processed(person=person, photo=photo, reason=reason)
        return Processed(person=person, photo=photo, embedding=self.embedder.embed(image, faces[0]))


def process(folder: Path, photos: Photos) -> list[Processed]:
    """Process every file of every person's folder. Raises ConfigError if there is none."""
    paths = sorted(path for path in folder.glob("*/*") if path.is_file() and not path.name.startswith("."))
    if not paths:
        raise ConfigError(f"{folder} holds no photos: it needs one folder a person with photos inside")
    return [photos.process(path) for path in paths]


def people_of(photos: list[Processed]) -> People:
    """Keep what passed; people are numbered in the order of their folders."""
    order = sorted({photo.person for photo in photos})
    passed = [(photo.embedding, order.index(photo.person)) for photo in photos if photo.embedding is not None]
    if not passed:
        raise ConfigError("no photo passed the quality gate")
    return People(np.stack([embedding for embedding, _ in passed]), np.array([who for _, who in passed]))


def table(model: FaceModel, photos: list[Processed], people: People) -> str:
    """Return the table of passed and failed photos, thresholds and errors."""
    keys = random_keys()
    same, strangers = left_out_scores(model, people, keys)
    found = thresholds(same, strangers)
    errors = judge(model, people, centre_of(people), found.same, keys)
    reasons = Counter(photo.reason for photo in photos if photo.embedding is None)
    rows = [
        ("photos", f"{len(photos)}, {len(people.who)} passed, of {len(people.names)} people"),
        *((f"  {reason}", str(count)) for reason, count in sorted(reasons.items())),
        ("keys", str(len(keys))),
        ("one person", f"{_spread(same)} equal bits, left out of the centre"),
        ("strangers", f"{_spread(strangers)} equal bits, left out of the centre"),
        ("same, doubt", f"{found.same}, {found.doubt} (now {model.same}, {model.doubt})"),
        ("false matches", f"{errors.false_matches} of {errors.strangers}, centre of all"),
        ("false non-matches", f"{errors.false_non_matches} of {errors.same}, centre of all"),
        ("false match rate", f"at most {_bound(people, strangers, found.same):.2g}, 95 % over pairs of people"),
        ("left out", f"{(strangers >= found.same).sum()} and {(same < found.same).sum()} of as many"),
    ]
    return "\n".join(f"{name:<20}{value}" for name, value in rows)


def main(arguments: list[str] | None = None) -> None:
    """Print the table; write the centre if asked."""
    options = _parser().parse_args(arguments)
    try:
        embedder = open_embedder(options.model, options.weights)
        photos = Photos(detector=FaceDetector(), gate=QualityGate(), embedder=embedder)
        looks = process(options.folder, photos)
        people = people_of(looks)
        sys.stdout.write(table(embedder.model, looks, people) + "\n")
        if options.write is not None:
            values = tuple(centre_of(people).tolist())
            centre = Centre(model=embedder.model.id, source=options.source, values=values)
            options.write.write_bytes(encode_centre(centre))
    except FairrollError as error:
        raise SystemExit(str(error)) from None


def _bound(people: People, strangers: Scores, same: int) -> float:
    """Return FaceModel.false_match_rate. Photos and keys are no trials of their own: docs/template-evaluation.md."""
    pairs = math.comb(len(people.names), 2)
    return upper_bound(math.ceil(float((strangers >= same).mean()) * pairs), pairs)


def _spread(values: Scores) -> str:
    least, low, middle, high, most = np.percentile(values, [0, 5, 50, 99, 100])
    return f"least {least:.0f}, 5 % {low:.0f}, middle {middle:.0f}, 99 % {high:.0f}, most {most:.0f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.face.calibration", description="Calibrate a face model.")
    parser.add_argument("folder", type=Path, help="one folder a person, photos inside")
    parser.add_argument("--model", default="dlib-resnet/1", help="a face model's id")
    parser.add_argument("--weights", type=Path, default=Path(".cache"), help="where fetched weights are kept")
    parser.add_argument("--write", type=Path, help="the centre's file to write")
    parser.add_argument("--source", default="not stated", help="what the photos are, kept in the centre's file")
    return parser


if __name__ == "__main__":
    main()
