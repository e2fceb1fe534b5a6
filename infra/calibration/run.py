"""Processes photos, calibrates, and writes the results."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct

from infra.calibration.picture import picture
from infra.calibration.report import markdown
from models.contract.face_models import encode_face_model, face_model
from models.errors import ConfigError
from models.face.calibration.people import People, random_keys
from models.face.calibration.photos import Photos as Chain
from models.face.calibration.photos import Processed, process
from models.face.calibration.protocol import Pair, read_pairs
from models.face.calibration.study import Calibration, Data, PairSet, calibrate
from models.face.networks.mtcnn import FaceDetector
from models.face.quality import QualityGate
from models.face.vision import open_embedder

__all__ = ["Photos", "calibrate_photos", "data_of"]

TARGETS: Final = (100, 1_000, 10_000)
"""wrongful_per_million of the report's tables"""
_JUDGED_FOLDS: Final = 0.4
"""The last two of five folds are judged, or two people of five."""


class Photos(Struct, frozen=True, kw_only=True):
    """What to calibrate on."""

    people: Path
    groups: Path | None
    pairs: Path | None
    most: int | None


def calibrate_photos(
    photos: Photos, model: str, model_id: str, weights: Path, out: Path, echo: Callable[[str], None]
) -> Iterator[Path]:
    """Calibrate and yield the files written. Raises ConfigError for photos or settings that do not allow it."""
    pairs = read_pairs(photos.pairs) if photos.pairs else []
    chain = Chain(detector=FaceDetector(), gate=QualityGate(), embedder=open_embedder(model, weights))
    echo(f"processing {photos.people}")
    people = process(photos.people, chain, photos.most)
    groups: list[Processed] = []
    if photos.groups:
        echo(f"processing {photos.groups}")
        groups = process(photos.groups, chain)
    source = f"photos of {photos.people.name}{f' and {photos.groups.name}' if photos.groups else ''}"
    found = calibrate(data_of(people, groups, pairs, source), face_model(model), model_id, random_keys(), TARGETS)
    yield from _write(found, out)


def data_of(people: Sequence[Processed], groups: Sequence[Processed], pairs: Sequence[Pair], source: str) -> Data:
    """Split the people into those who teach and those who are judged: by folds if there are any, else two of five."""
    passed = [photo for photo in people if photo.embedding is not None]
    judged = _judged({photo.person for photo in passed}, pairs)
    order = {person: number for number, person in enumerate(sorted({photo.person for photo in passed}))}
    shown = [photo for photo in passed if photo.person in judged]
    return Data(
        learned=_people([photo for photo in passed if photo.person not in judged], order),
        judged=_people(shown, order),
        groups=_groups(groups),
        pairs=_pair_set(pairs, shown),
        photos=len(people) + len(groups),
        turned_away=Counter(str(photo.reason) for photo in (*people, *groups) if photo.embedding is None),
        source=source,
    )


def _judged(names: set[str], pairs: Sequence[Pair]) -> set[str]:
    if not pairs:
        return {name for number, name in enumerate(sorted(names)) if number % 5 in (1, 3)}
    folds = 1 + max(pair.fold for pair in pairs)
    first = folds - max(1, round(_JUDGED_FOLDS * folds))
    return {name for pair in pairs if pair.fold >= first for name in (pair.one[0], pair.other[0])}


def _people(photos: Sequence[Processed], order: Mapping[str, int]) -> People:
    rows = [photo.embedding for photo in photos if photo.embedding is not None]
    if not rows:
        raise ConfigError("no photo passed the quality gate, or all people are judged and none is left to learn from")
    return People(np.stack(rows), np.array([order[photo.person] for photo in photos]))


def _groups(photos: Sequence[Processed]) -> Mapping[str, np.ndarray]:
    names = sorted({photo.person for photo in photos})
    rows = {name: [p.embedding for p in photos if p.person == name and p.embedding is not None] for name in names}
    return {name: np.stack(each) for name, each in rows.items() if each}


def _pair_set(pairs: Sequence[Pair], photos: Sequence[Processed]) -> PairSet | None:
    """Return the pairs whose photos both passed and are judged, by rows of the judged embeddings."""
    row = {(photo.person, _number(photo.photo)): number for number, photo in enumerate(photos)}
    kept = [pair for pair in pairs if pair.one in row and pair.other in row]
    if not kept:
        return None
    one, other = ([row[getattr(pair, side)] for pair in kept] for side in ("one", "other"))
    mated, folds = [pair.is_mated for pair in kept], [pair.fold for pair in kept]
    return PairSet(np.array(one), np.array(other), np.array(mated), np.array(folds))


def _number(photo: str) -> int:
    """NAME_0001.jpg is photo 1 of its person; 0 where the name has no number."""
    digits = Path(photo).stem.rpartition("_")[2]
    return int(digits) if digits.isdecimal() else 0


def _write(found: Calibration, out: Path) -> Iterator[Path]:
    files = {
        "report.md": markdown(found).encode(),
        "report.json": msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n",
        "picture.svg": picture(found).encode(),
        found.model.id.replace("/", "-") + ".json": encode_face_model(found.model),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_bytes(content)
            yield out / name
    except OSError as error:
        raise ConfigError(f"cannot write to {out}: {error}") from None
