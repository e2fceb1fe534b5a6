"""`make figures`: how well templates tell people apart, whether two keys can be linked, what a thief rebuilds.

FACES holds one folder a person with photos inside; without it only synthetic faces are compared. No photo, embedding or
template is written anywhere. docs/template-evaluation.md explains every figure.
"""

import argparse
import sys
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console

from models.contract.face_models import face_model
from models.errors import FairrollError
from models.face.calibration.photos import Photos, people_of, process
from models.face.networks.mtcnn import FaceDetector
from models.face.quality import QualityGate
from models.face.vision import open_embedder
from tests.experiments.figures.comparing import Compared
from tests.experiments.figures.figure import draw
from tests.experiments.figures.study import Study, study_photos, study_synthetic
from tests.experiments.figures.table import show

_PHOTO_KEYS = 64
_SIZE, _SYNTHETIC_KEYS = 1000, 16


def main(arguments: list[str] | None = None) -> None:
    """Print a table or JSON, and draw."""
    options = _parser().parse_args(arguments)
    rng = np.random.default_rng(options.seed)
    try:
        studies = [*_photos(options, rng), _synthetic(options, rng)]
    except FairrollError as error:
        raise SystemExit(str(error)) from None
    printed = [study for study, _ in studies]
    if options.json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(printed)) + b"\n")
    else:
        show(Console(width=110), printed)
    draw(options.figure, studies)
    sys.stderr.write(f"drawn: {options.figure}\n")


def _photos(options: argparse.Namespace, rng: np.random.Generator) -> list[tuple[Study, Compared]]:
    if not options.faces.is_dir():
        sys.stderr.write(f"no photos in {options.faces}: synthetic faces only (FACES=folder, one folder a person)\n")
        return []
    embedder = open_embedder(options.model, options.weights)
    photos = Photos(detector=FaceDetector(), gate=QualityGate(), embedder=embedder)
    people = people_of(process(options.faces, photos))
    return [study_photos(embedder.model, people, max(_PHOTO_KEYS // options.quick, 1), rng)]


def _synthetic(options: argparse.Namespace, rng: np.random.Generator) -> tuple[Study, Compared]:
    return study_synthetic(face_model("synthetic/1"), _SIZE // options.quick, _SYNTHETIC_KEYS // options.quick, rng)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.experiments.figures", description=__doc__)
    parser.add_argument(
        "--faces", type=Path, default=Path("../shared/faces"), help="one folder a person, photos inside"
    )
    parser.add_argument("--model", default="dlib-resnet/1", help="the face model for photos")
    parser.add_argument("--weights", type=Path, default=Path(".cache"), help="where fetched weights are kept")
    parser.add_argument("--seed", type=int, default=1, help="of keys and synthetic people")
    parser.add_argument("--figure", type=Path, default=Path("build/template-evaluation.png"), help="the PNG to write")
    parser.add_argument("--json", action="store_true", help="numbers as JSON instead of a table")
    parser.add_argument("--quick", type=int, default=1, metavar="N", help="so many times fewer keys and people")
    return parser


if __name__ == "__main__":
    main()
